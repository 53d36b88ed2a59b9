"""From results to statistics: means and intervals over seeds, and differences between norms."""

from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.paired import Outperforming, PairedDifference, holm, outperforming, paired_differences
from normbench.analysis.rows import Row, best_settings, summarize

__all__ = [
    "Estimate",
    "Outperforming",
    "PairedDifference",
    "Row",
    "best_settings",
    "estimate",
    "holm",
    "outperforming",
    "paired_differences",
    "summarize",
]
