"""From results to statistics: means and intervals over seeds, differences between norms, time to a target."""

from normbench.analysis.conditions import conditions, mixed, uneven_seeds
from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.finding import (
    Chart,
    Finding,
    FindingTable,
    Line,
    read_finding,
    write_finding,
)
from normbench.analysis.leading import Leading, leading
from normbench.analysis.paired import (
    MARGIN,
    Outperforming,
    PairedDifference,
    holm,
    judge_pairs,
    outperforming,
    paired_differences,
)
from normbench.analysis.record import Recorded, record
from normbench.analysis.rows import Row, best_settings, summarize
from normbench.analysis.sensitivity import Sensitivity, searched, sensitivity_answer, sensitivity_charts
from normbench.analysis.targets import TARGETS, Hit, Target, first_hit, targets

__all__ = [
    "MARGIN",
    "TARGETS",
    "Chart",
    "Estimate",
    "Finding",
    "FindingTable",
    "Hit",
    "Leading",
    "Line",
    "Outperforming",
    "PairedDifference",
    "Recorded",
    "Row",
    "Sensitivity",
    "Target",
    "best_settings",
    "conditions",
    "estimate",
    "first_hit",
    "holm",
    "judge_pairs",
    "leading",
    "mixed",
    "outperforming",
    "paired_differences",
    "read_finding",
    "record",
    "searched",
    "sensitivity_answer",
    "sensitivity_charts",
    "summarize",
    "targets",
    "uneven_seeds",
    "write_finding",
]
