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
    """Accuracy against the recorded one, each class with what it is taken for, calibration."""
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
        Text("Columns: images by the class they were taken for."),
        Text(f"Expected calibration error: {percent(details.calibration_error)} (15 bins; arXiv:1706.04599)"),
    ]
    document = {"command": "evaluate", "run": entry.name, "recorded_test_accuracy": recorded}
    compared = {"agrees": not evaluation.problem, "warnings": [*evaluation.warnings]}
    found = {f"test_{key}": value for key, value in dataclasses.asdict(details).items()}
    output.result(parts, document | compared | found, quiet=f"{details.accuracy:.4f}")


def show_decisions(output: Output, entry: Entry, folder: Path, found: Classified) -> None:
    """What the network takes each picture for, how often it is right where that is known, and what it cannot read."""
    labelled = found.labelled > 0
    table = plain_table("picture", "taken for", *(["true class"] if labelled else []), "probability", left=2 + labelled)
    for decision in found.decisions:
        true = [Text(decision.label or "-")] if labelled else []
        table.add_row(Text(decision.file), Text(decision.decided), *true, percent(decision.probability))
    parts: list[RenderableType] = [table]
    if labelled:
        parts.append(Text(f"Accuracy on the {found.labelled:,} with a true class: {percent(found.accuracy)}"))
    for warning in found.warnings:
        output.warning(warning)
    for skipped in found.skipped:
        output.warning(f"skipped {skipped.file}: {skipped.reason}")
    for label in found.unknown_labels:
        output.warning(f"no class is called as this sub-folder: {label}")
    document = {
        "command": "evaluate",
        "run": entry.name,
        "images": shown(folder),
        "ground": GROUND,
        "accuracy": found.accuracy,
        "labelled": found.labelled,
        "decisions": [dataclasses.asdict(decision) for decision in found.decisions],
        "skipped": [dataclasses.asdict(skipped) for skipped in found.skipped],
        "unknown_labels": list(found.unknown_labels),
    }
    output.result(parts, document, quiet="\n".join(f"{d.file} {d.decided}" for d in found.decisions))
