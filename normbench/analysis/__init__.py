"""From results to statistics: means and intervals over seeds."""

from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.rows import Row, best_settings, summarize

__all__ = ["Estimate", "Row", "best_settings", "estimate", "summarize"]
