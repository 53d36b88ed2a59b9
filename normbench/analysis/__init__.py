"""From results to statistics: means and intervals over seeds, differences between norms, time to a target."""

from normbench.analysis.aggregate import Row, best_settings, summarize
from normbench.analysis.caption import conditions, mixed, uneven_seeds
from normbench.analysis.document import (
    Chart,
    Line,
    StudyResult,
    Table,
    read_study_result,
    write_study_result,
)
from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.history import Recorded, record
from normbench.analysis.paired import (
    MARGIN,
    PairedDifference,
    Superiority,
    holm,
    judge_pairs,
    paired_differences,
    probability_of_superiority,
)
from normbench.analysis.ranking import Leading, leading
from normbench.analysis.sensitivity import Sensitivity, searched, sensitivity_answer, sensitivity_charts
from normbench.analysis.time_to_accuracy import TARGETS, Hit, Target, first_hit, targets

__all__ = [
    "MARGIN",
    "TARGETS",
    "Chart",
    "Estimate",
    "Hit",
    "Leading",
    "Line",
    "PairedDifference",
    "Recorded",
    "Row",
    "Sensitivity",
    "StudyResult",
    "Superiority",
    "Table",
    "Target",
    "best_settings",
    "conditions",
    "estimate",
    "first_hit",
    "holm",
    "judge_pairs",
    "leading",
    "mixed",
    "paired_differences",
    "probability_of_superiority",
    "read_study_result",
    "record",
    "searched",
    "sensitivity_answer",
    "sensitivity_charts",
    "summarize",
    "targets",
    "uneven_seeds",
    "write_study_result",
]
