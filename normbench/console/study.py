"""Output of every study: tables, charts, conclusions and caption."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from normbench.analysis import StudyResult
from normbench.console.charts import chart_picture
from normbench.console.tables import show_table
from normbench.console.text import Text


def study_result_text(result: StudyResult) -> RenderableType:
    """Lay out a result; the conclusions come last, where they stay visible."""
    tables = [part for table in result.tables for part in show_table(table)]
    charts = [chart_picture(chart) for chart in result.charts]
    return Group(*tables, *charts, Text(), *map(Text, result.conclusions), Text(result.caption, style="dim"))


def study_result_document(result: StudyResult, files: Sequence[str], *, documented: bool = False) -> dict[str, object]:
    """Return the JSON document: the result as it is kept, and the files beside it.

    Args:
        result: Result of the study.
        files: Paths of its files.
        documented: True for a result of the documentation, which was not measured on this machine.
    """
    content = result.model_dump(mode="json", exclude={"environment"})
    return {"command": result.study, **content, "files": list(files), "documented": documented}


def study_result_values(result: StudyResult) -> str:
    """Return the lines of `-q`: the first table, its cells separated by tabs."""
    return "\n".join("\t".join(row) for row in result.tables[0].rows)
