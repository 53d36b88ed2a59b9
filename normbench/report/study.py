"""The page of a study: its answer, tables and charts, the environment, and how to do it again."""

from normbench.analysis import StudyResult, Table
from normbench.report.charts import chart_plot
from normbench.report.elements import Block, Code, Fold, Grid, Plots, Section, Text
from normbench.report.facts import command_line
from normbench.report.page import Page
from normbench.runs import flat


def finding_page(name: str, finding: StudyResult) -> Page:
    """Lay out a finding under the name of its experiment."""
    charts = Section("charts", "What it looks like", [Plots([chart_plot(chart) for chart in finding.charts])])
    tables = Section("tables", "What was measured", [*_tables(finding), Text(finding.conditions, "note")])
    answer = [finding.title, *finding.answer]
    return Page(name, answer, finding.warnings, [*([charts] if finding.charts else []), tables, *_origin(finding)], [])


def _tables(finding: StudyResult) -> list[Block]:
    return [block for place, table in enumerate(finding.tables) for block in _table(place, table)]


def _table(place: int, table: Table) -> list[Block]:
    grid = Grid(
        f"table-{place + 1}",
        table.title,
        table.columns,
        table.rows,
        strong=frozenset(table.strong),
        figures=not table.sentences,
    )
    return [grid, *([Text(table.note, "note")] if table.note else [])]


def _origin(finding: StudyResult) -> list[Section]:
    """Where and by which command it was made."""
    facts = [(key, str(value)) for key, value in flat(finding.environment).items() if key != "argv"]
    grid = Grid("environment-table", "Versions and device", ("name", "value"), facts, figures=False)
    command = command_line(finding.environment.get("argv")) or f"normbench {finding.study}"
    return [
        Section("environment", "Environment", [Fold(f"Versions and device ({len(facts)})", [grid])]),
        Section("reproduce", "How to reproduce", [Code(command)]),
    ]
