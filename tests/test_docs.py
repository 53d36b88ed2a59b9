"""The documentation: its plots show what its tables say, and figures that two files state are the same."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def table(document: str, after: str) -> tuple[list[str], list[list[str]]]:
    """The columns and rows of the first Markdown table behind some words of a document."""
    lines = iter((DOCS / document).read_text(encoding="utf-8").partition(after)[2].splitlines())
    rows = [next(line for line in lines if line.startswith("|"))]
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(line)
    columns, _, *body = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return columns, body


def accuracy(cell: str) -> float | None:
    """The percentage of a cell; None where there is none, as of a run that diverged."""
    found = re.match(r"\**([\d.]+)", cell)
    return float(found[1]) if found else None


def by_column(document: str, after: str) -> dict[str, dict[float, float | None]]:
    """By norm: accuracy by the first cell of a row; norms are columns."""
    columns, rows = table(document, after)
    places = [place for place in range(len(columns)) if columns[place] not in ("batch", "steps")]
    return {columns[place]: {float(row[0]): accuracy(row[place]) for row in rows} for place in places}


def by_row(document: str, after: str) -> dict[str, dict[float, float | None]]:
    """By norm: accuracy by the number in a column's name; norms are rows."""
    columns, rows = table(document, after)
    values = [float(column.split()[1]) for column in columns[1:]]
    return {row[0]: dict(zip(values, map(accuracy, row[1:]), strict=True)) for row in rows}


PLOTTED = {
    "batch-size": by_column("batch-size.md", "the first table of tables.md"),
    "learning-rate-sensitivity": by_row("learning-rate-sensitivity.md", "![Validation accuracy"),
    "depth-mlp-accuracy": by_row("depth.md", "**mlp: test accuracy on cifar10"),
    "depth-conv-accuracy": by_row("depth.md", "**conv: test accuracy on cifar10"),
}


@pytest.mark.parametrize("name", PLOTTED)
def test_a_plot_says_the_first_and_the_last_accuracy_of_every_line_of_its_table(name):
    text = (DOCS / "img" / f"{name}.svg").read_text(encoding="utf-8")
    description = re.search(r"<desc[^>]*>(.*)\.</desc>", text)
    lines = dict(line.split(": ") for line in description[1].split("; "))
    assert lines.keys() == PLOTTED[name].keys()
    for label, curve in PLOTTED[name].items():
        measured = {x: y for x, y in curve.items() if y is not None}
        first, last = min(measured), max(measured)
        ends = [(float(y), float(x)) for y, x in re.findall(r"([\d.]+) % at ([\d.]+)", lines[label])]
        assert ends[0] == (measured[first], first), label
        assert ends[-1] == (measured[last], last), label
        lost = re.search(r"not finished at (.*)", lines[label])
        missing = [float(x) for x in lost[1].split(",")] if lost else []
        assert missing == [x for x in curve if curve[x] is None], label


def test_the_recipe_of_batch_sizes_states_what_its_page_shows():
    header = " ".join((ROOT / "configs" / "batch-size.toml").read_text().split("\n\n")[0].replace("#", "").split())
    names = {"BatchNorm": "bn", "GroupNorm": "gn", "LayerNorm": "ln", "no norm": "none", "InstanceNorm": "in"}
    for words, norm in names.items():
        small, usual = re.search(rf"{words} ([\d.]+) and ([\d.]+) %", header).groups()
        curve = PLOTTED["batch-size"][norm]
        assert (float(small), float(usual)) == (curve[2], curve[32]), norm
