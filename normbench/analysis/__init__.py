"""From results to statistics: means and intervals over seeds, paired differences, rankings, time to accuracy."""

from normbench.analysis.aggregate import Aggregate, Estimate, aggregate_runs, best_settings, estimate
from normbench.analysis.average_ranks import AverageRanks, Friedman, average_ranks, critical_difference
from normbench.analysis.comparison import Comparison, Series, mismatches, seed_mismatches
from normbench.analysis.document import (
    Chart,
    Line,
    StudyResult,
    Table,
    read_study_result,
    write_study_result,
)
from normbench.analysis.format import caption
from normbench.analysis.history import HistoryEntry, norm_history
from normbench.analysis.paired import (
    MARGIN,
    PairedDifference,
    Superiority,
    compare_pairs,
    holm,
    paired_differences,
    probability_of_superiority,
)
from normbench.analysis.ranking import Ranking, rank_norms
from normbench.analysis.sensitivity import (
    Sensitivity,
    sensitivity_charts,
    sensitivity_conclusions,
    sensitivity_curves,
)
from normbench.analysis.time_to_accuracy import LEVELS, Reached, TimeToAccuracy, first_reached, times_to_accuracy

__all__ = [
    "LEVELS",
    "MARGIN",
    "Aggregate",
    "AverageRanks",
    "Chart",
    "Comparison",
    "Estimate",
    "Friedman",
    "HistoryEntry",
    "Line",
    "PairedDifference",
    "Ranking",
    "Reached",
    "Sensitivity",
    "Series",
    "StudyResult",
    "Superiority",
    "Table",
    "TimeToAccuracy",
    "aggregate_runs",
    "average_ranks",
    "best_settings",
    "caption",
    "compare_pairs",
    "critical_difference",
    "estimate",
    "first_reached",
    "holm",
    "mismatches",
    "norm_history",
    "paired_differences",
    "probability_of_superiority",
    "rank_norms",
    "read_study_result",
    "seed_mismatches",
    "sensitivity_charts",
    "sensitivity_conclusions",
    "sensitivity_curves",
    "times_to_accuracy",
    "write_study_result",
]
