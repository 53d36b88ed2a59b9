"""Output of `compare` on the terminal. Rows, paired differences, time to accuracy, and the curves of a search."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from normbench.analysis import Comparison, sensitivity_charts, sensitivity_conclusions
from normbench.analysis.format import accuracy, recipe_lines
from normbench.analysis.tables import differences_table, rows_table, times_table
from normbench.analysis.verdict import assignment, verdict
from normbench.console.charts import chart_picture
from normbench.console.tables import images_title, show_table
from normbench.console.text import Text


def comparison_text(comparison: Comparison) -> RenderableType:
    """Lay out tables and sentences of a comparison: one row per norm, in a search one row per norm and setting."""
    rows = rows_table(comparison)
    problems = [Text(f"{row.norm}: {problem}", style="red") for row in comparison.rows for problem in row.problems]
    title = f"{images_title(comparison.results[0])}: {rows.title[0].lower()}{rows.title[1:]}"
    head = [*show_table(rows.model_copy(update={"title": title, "note": ""})), *problems, Text(rows.note, style="dim")]
    if comparison.searching:
        return Group(*head, *_search(comparison))
    tables = differences_table(comparison), times_table(comparison)
    return Group(*head, *(part for table in tables if table for part in show_table(table)), *_conclusions(comparison))


def _conclusions(comparison: Comparison) -> list[RenderableType]:
    """Lay out the verdict, and the check of the assignment where it is one."""
    check = assignment(comparison)
    sentence = verdict(comparison)
    lines = [Text(sentence, style="bold")] if sentence else []
    lines += [Text(check.sentence, style="green" if check.met else "yellow")] if check else []
    return [Text(""), *lines] if lines else []


def _search(comparison: Comparison) -> list[RenderableType]:
    charts = [chart_picture(chart) for chart in sensitivity_charts(comparison.sensitivity)]
    curves = [Text(line) for of_setting in comparison.sensitivity for line in sensitivity_conclusions(of_setting)]
    recipe = [Text("\nFor a recipe:\n" + recipe_lines(comparison.best))] if comparison.best else []
    return [*charts, *curves, *recipe]


def comparison_document(comparison: Comparison, files: Sequence[str], warnings: Sequence[str]) -> dict[str, object]:
    """Return the JSON document of `compare`; accuracies and their differences are fractions."""
    check = assignment(comparison)
    return {
        "command": "compare",
        **comparison.document(),
        "verdict": verdict(comparison) or None,
        "assignment": check.to_dict() if check else None,
        "files": list(files),
        "warnings": list(warnings),
    }


def comparison_values(comparison: Comparison) -> str:
    """Return the lines of `compare -q`: norm and mean test accuracy (in a search: validation).

    For a norm with diverged runs, their number takes the place of the mean.
    """
    lines = []
    for row in comparison.rows:
        mean = row.test_accuracy or row.validation_accuracy
        lines.append(f"{row.norm} {mean.mean:.4f}" if mean else f"{row.norm} {accuracy(None, row.diverged, row.runs)}")
    return "\n".join(lines)
