"""Page of a study: its conclusions, tables and charts, the environment, and the command that reproduces it."""

from normbench.analysis import StudyResult, Table
from normbench.report.charts import chart_plot
from normbench.report.elements import Code, Fold, Page, Plots, Section, TableElement, Text
from normbench.report.progress import Progress, no_progress
from normbench.report.setup import command_line
from normbench.runs import flat


def study_page(name: str, result: StudyResult, progress: Progress = no_progress) -> Page:
    """Lay out the result of a study under the name of its experiment."""
    plots = []
    for number, chart in enumerate(result.charts, 1):
        progress(f"chart {number} of {len(result.charts)}")
        plots.append(chart_plot(chart))
    charts = Section("charts", "Charts", [Plots(plots)])
    elements = [TableElement(f"table-{index}", table) for index, table in enumerate(result.tables, 1)]
    tables = Section("tables", "Measurements", [*elements, Text(result.caption, "note")])
    sections = [*([charts] if result.charts else []), tables, *_origin(result)]
    return Page(name, [result.title, *result.conclusions], result.warnings, sections)


def _origin(result: StudyResult) -> list[Section]:
    """Environment and command line of the study."""
    rows = tuple((key, str(value)) for key, value in flat(result.environment).items() if key != "argv")
    table = Table(title="Versions and device", columns=("name", "value"), rows=rows, sentences=True)
    command = command_line(result.environment.get("argv")) or f"normbench {result.study}"
    return [
        Section(
            "environment",
            "Environment",
            [Fold(f"Versions and device ({len(rows)})", [TableElement("environment-table", table)])],
        ),
        Section("reproduce", "How to reproduce", [Code(command)]),
    ]
