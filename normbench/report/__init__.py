"""Reports as HTML pages, plots and tables."""

from normbench.report.export import to_csv, to_latex, to_markdown, write_comparison, write_tables

__all__ = ["to_csv", "to_latex", "to_markdown", "write_comparison", "write_tables"]
