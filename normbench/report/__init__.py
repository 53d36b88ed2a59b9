"""What an experiment leaves for a paper: tables in files."""

from normbench.report.export import write_comparison, write_tables

__all__ = ["write_comparison", "write_tables"]
