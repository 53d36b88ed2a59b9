"""Measured results of the documentation as package data.

    python docs/published.py   # write normbench/advice/published.json

The tables of docs/ are the source, with the conditions below them; nothing is typed twice. A test compares both.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "normbench" / "advice" / "published.json"
SCHEMA_VERSION = 1

Row = list[str]


def table(page: str, after: str) -> tuple[Row, list[Row]]:
    """Return the columns and rows of the first table of a page that stands behind some words."""
    content = (ROOT / "docs" / page).read_text(encoding="utf-8").partition(after)[2]
    lines = content[content.index("\n|") + 1 :].splitlines()
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("*`") for cell in line.strip().strip("|").split("|")])
    return rows[0], rows[2:]


def paragraph(page: str, beginning: str) -> str:
    """Return the paragraph of a page with this beginning, without line breaks."""
    content = (ROOT / "docs" / page).read_text(encoding="utf-8")
    start = content.index(f"\n{beginning}") + 1
    return " ".join(content[start:].partition("\n\n")[0].split())


def accuracy(cell: str) -> dict[str, float | None] | None:
    """Read `84.70 ± 0.44 %` as fractions; None where a run diverged, as in `1 of 5 diverged`."""
    figures = re.match(r"([\d.]+)\b(?: ± ([\d.]+))?(?! of)", cell)
    if figures is None:
        return None
    mean, half = figures.groups()
    return {"mean": fraction(mean), "half_width": None if half is None else fraction(half)}


def fraction(percent: str) -> float:
    """Turn percent into a fraction with no more digits than it has."""
    return round(float(percent) / 100, 6)


def published() -> dict[str, Any]:
    """Read all measurements from the documentation."""
    return {
        "schema_version": SCHEMA_VERSION,
        "measurements": [
            *comparisons(),
            *searches(),
            *batch_sizes(),
            *depths(),
            *costs(),
            *mistakes(),
            *ranks(),
        ],
    }


def text() -> str:
    """Return the file's text: a measurement per line."""
    content = published()
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in content["measurements"])
    return f'{{"schema_version": {content["schema_version"]}, "measurements": [\n{lines}\n]}}\n'


def measurement(study: str, page: str, caption: str, values: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make a measurement: fractions by norm (or the right and the wrong way), and their conditions."""
    return {"study": study, "page": f"docs/{page}", "caption": caption.rstrip("."), **fields, "values": values}


def comparisons() -> list[dict[str, Any]]:
    """Read the comparisons of the recipes."""
    measurements = []
    for recipe, heading, batch in (
        ("fast", "## The assignment in minutes", 32),
        ("baseline", "## The assignment (", 64),
        ("record", "## The record", 64),
        ("tuned", "### Five seeds on the test images", 64),
        ("tuned", "--norms sn,bin,ebn`, on two cores", 64),
    ):
        columns, rows = table("results.md", heading)
        position, seeds = columns.index("test accuracy"), int(rows[0][columns.index("seeds")])
        section = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").partition(heading)[2]
        caption = " ".join(section[section.index("\nCIFAR-10 (") + 1 :].split())
        accuracies = {row[0]: accuracy(row[position]) for row in rows}
        measurements.append(
            measurement(
                "compare",
                "results.md",
                caption.partition(". ")[0],
                accuracies,
                part=recipe,
                seeds=seeds,
                batch_size=batch,
                quantity="test accuracy",
            )
        )
    return measurements


def searches() -> list[dict[str, Any]]:
    """Read the best accuracy of each norm's search of learning rates, with its rate."""
    page = "learning-rate-sensitivity.md"
    columns, rows = table(page, "![Validation accuracy")
    caption = paragraph(page, "CIFAR-10, 2,048")
    return by_column(columns, rows, "compare", page, caption, seeds=1, batch_size=32, quantity="validation accuracy")


def by_column(
    columns: Row, rows: list[Row], study: str, page: str, caption: str, **fields: Any
) -> list[dict[str, Any]]:
    """Make a measurement of each column of a table but the first, which has the norms."""
    return [
        measurement(study, page, caption, {row[0]: accuracy(row[index]) for row in rows}, part=columns[index], **fields)
        for index in range(1, len(columns))
    ]


def batch_sizes() -> list[dict[str, Any]]:
    """Read the accuracies at every batch size: one seed of five norms, three seeds of two."""
    page = "batch-size.md"
    base = paragraph(page, "CIFAR-10, 2,048").partition(". The ")[0]
    measurements = []
    for after, seeds, caption in (
        ("<!-- the first table", 1, base),
        ("![Test accuracy of BatchNorm and GroupNorm by batch size", 3, base.replace("seed 0", "3 seeds (0-2)")),
    ):
        columns, rows = table(page, after)
        for row in rows:
            accuracies = {columns[index]: accuracy(row[index]) for index in range(2, len(columns))}
            measurements.append(
                measurement(
                    "batch-size",
                    page,
                    caption,
                    accuracies,
                    part="",
                    seeds=seeds,
                    batch_size=int(row[0].replace(",", "")),
                    quantity="test accuracy",
                )
            )
    return measurements


def depths() -> list[dict[str, Any]]:
    """Read the accuracies of stacks at every depth; norms stand before the weights or after them."""
    page = "depth.md"
    conditions = paragraph(page, "relu, weights drawn as `torch` does")
    caption = conditions[conditions.index("training: ") + len("training: ") :].partition(". In brackets")[0]
    measurements = []
    for family in ("mlp", "conv"):
        columns, rows = table(page, f"**{family}: test accuracy on cifar10")
        for index in range(1, len(columns)):
            accuracies = {row[0]: accuracy(row[index]) for row in rows}
            measurements.append(
                measurement(
                    "depth",
                    page,
                    caption,
                    accuracies,
                    part=f"{family}, {columns[index]}",
                    seeds=1,
                    batch_size=128,
                    quantity="test accuracy",
                )
            )
    return measurements


def costs() -> list[dict[str, Any]]:
    """Read the share of the norm layers in a training step."""
    page = "cost.md"
    columns, rows = table(page, "**One training step**")
    index = columns.index("share of the norm layers")
    values = {row[0]: accuracy(row[index]) for row in rows}
    return [
        measurement(
            "cost",
            page,
            paragraph(page, "Network c10 at the shapes"),
            values,
            part="",
            seeds=1,
            batch_size=64,
            quantity="share of the norm layers in a training step",
        )
    ]


def mistakes() -> list[dict[str, Any]]:
    """Read what every mistake costs, on CIFAR-10 and on the digits."""
    page = "mistakes.md"
    _, descriptions = table(page, "## How to recognize each mistake")
    wrong = {row[0]: row[1].removeprefix("Wrong: ").partition("<br>")[0] for row in descriptions}
    measurements = []
    for heading, seeds, beginning in (
        ("## On CIFAR-10", 3, "CIFAR-10 ("),
        ("## On the digits", 5, "The embedded digits"),
    ):
        caption = paragraph(page, beginning).partition(". ±")[0]
        for row in table(page, heading)[1]:
            accuracies = {"right": accuracy(row[1]), "wrong": accuracy(row[2])}
            measurements.append(
                measurement(
                    "mistakes",
                    page,
                    caption,
                    accuracies,
                    part=row[0],
                    seeds=seeds,
                    batch_size=32,
                    quantity="test accuracy",
                    wrong=wrong[row[0]],
                    verdict=row[5],
                )
            )
    return measurements


def ranks() -> list[dict[str, Any]]:
    """Read the accuracies behind the ranks, network by network."""
    page = "rank.md"
    columns, rows = table(page, "**Test accuracy by network**")
    caption = paragraph(page, "CIFAR-10 (2,000").partition(". The rate")[0]
    return by_column(columns, rows, "rank", page, caption, seeds=3, batch_size=16, quantity="test accuracy")


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
