"""Output of `evaluate` on the terminal."""

import dataclasses
from pathlib import Path

from rich.console import RenderableType

from normbench.analysis.format import percent
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.runs import Entry
from normbench.runs.evaluate import Evaluation
from normbench.runs.pictures import GROUND, Classified, shown


def show_details(output: Output, entry: Entry, evaluation: Evaluation) -> None:
    """Print accuracy beside the recorded one, accuracy per class, confusion matrix and calibration error."""
    details = evaluation.details
    recorded = entry.result.test_accuracy if entry.result else None
    classes = list(details.per_class)
    table = plain_table("true class", "accuracy", *[name[:5] for name in classes])
    for name, row in zip(classes, details.confusion, strict=True):
        table.add_row(name, percent(details.per_class[name]), *map(str, row))
    same = "the same as recorded" if details.accuracy == recorded else f"recorded was {percent(recorded)}"
    parts: list[RenderableType] = [
        Text(f"{entry.name}: test accuracy {percent(details.accuracy)}, {same}; {details.images:,} images", "bold"),
        table,
        Text("Columns: images by predicted class."),
        Text(f"Expected calibration error: {percent(details.calibration_error)} (15 bins; arXiv:1706.04599)"),
    ]
    document = {"command": "evaluate", "run": entry.name, "recorded_test_accuracy": recorded}
    compared = {"agrees": not evaluation.problem, "warnings": [*evaluation.warnings]}
    scores = {f"test_{key}": value for key, value in dataclasses.asdict(details).items()}
    output.result(parts, document | compared | scores, quiet=f"{details.accuracy:.4f}")


def show_decisions(output: Output, entry: Entry, folder: Path, classified: Classified) -> None:
    """Print the class and probability of each picture, the accuracy on those with a label, and unreadable files."""
    labelled = classified.labelled > 0
    table = plain_table(
        "picture", "predicted class", *(["true class"] if labelled else []), "probability", left=2 + labelled
    )
    for decision in classified.decisions:
        true = [Text(decision.label or "-")] if labelled else []
        table.add_row(Text(decision.file), Text(decision.decided), *true, percent(decision.probability))
    parts: list[RenderableType] = [table]
    if labelled:
        parts.append(Text(f"Accuracy on the {classified.labelled:,} with a true class: {percent(classified.accuracy)}"))
    for warning in classified.warnings:
        output.warning(warning)
    for skipped in classified.skipped:
        output.warning(f"skipped {skipped.file}: {skipped.reason}")
    for label in classified.unknown_labels:
        output.warning(f"no class is called as this sub-folder: {label}")
    document = {
        "command": "evaluate",
        "run": entry.name,
        "images": shown(folder),
        "ground": GROUND,
        "accuracy": classified.accuracy,
        "labelled": classified.labelled,
        "decisions": [dataclasses.asdict(decision) for decision in classified.decisions],
        "skipped": [dataclasses.asdict(skipped) for skipped in classified.skipped],
        "unknown_labels": list(classified.unknown_labels),
    }
    output.result(parts, document, quiet="\n".join(f"{d.file} {d.decided}" for d in classified.decisions))
