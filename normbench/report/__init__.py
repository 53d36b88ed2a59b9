"""What an experiment leaves for a paper: tables in files."""

from normbench.report.tables import write_comparison, write_tables

__all__ = ["write_comparison", "write_tables"]
