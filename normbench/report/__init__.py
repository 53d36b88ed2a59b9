"""What an experiment leaves for a paper: tables in files."""

from normbench.report.tables import write_comparison

__all__ = ["write_comparison"]
