"""What every study shows: the answer, its tables and charts, and what they hold for."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from normbench.analysis import StudyResult
from normbench.console.charts import chart_picture
from normbench.console.tables import show_table
from normbench.console.text import Text


def study_result_text(finding: StudyResult) -> RenderableType:
    """A finding for people: tables first, since the answer that follows from them is to stand last on the screen."""
    tables = [part for table in finding.tables for part in show_table(table)]
    charts = [chart_picture(chart) for chart in finding.charts]
    return Group(
        *tables, *charts, Text(), *map(Text, finding.answer), Text(finding.conditions, style="dim")
    )  # fmt: skip


def finding_document(finding: StudyResult, files: Sequence[str]) -> dict[str, object]:
    """What a study prints with `--json`: the finding as it is kept, and the files beside it."""
    content = finding.model_dump(mode="json", exclude={"environment"})
    return {"command": finding.study, **content, "files": list(files)}


def finding_values(finding: StudyResult) -> str:
    """What a study prints with `-q`: its first table, cells parted by tabs."""
    return "\n".join("\t".join(row) for row in finding.tables[0].rows)
