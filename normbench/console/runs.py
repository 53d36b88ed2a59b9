"""Output of `runs` on the terminal."""

import json
from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from normbench.analysis.format import percent
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.runs import Cleaned, Entry, flat, read_environment

COLOURS = {
    "done": "green",
    "diverged": "red",
    "damaged": "red",
    "newer": "magenta",
    "interrupted": "yellow",
    "new": "yellow",
}


def show_runs(output: Output, entries: Sequence[Entry], out: str) -> None:
    """Print one row per run: state, norm, seed, accuracies, time."""
    table = plain_table("run", "state", "norm", "seed", "epochs", "train accuracy", "test accuracy", "seconds", left=3)
    for entry in entries:
        table.add_row(entry.name, Text(entry.state, style=COLOURS[entry.state]), *_figures(entry))
    content: RenderableType = table if entries else Text(f"There are no runs in {out}.")
    document = {"command": "runs", "runs": [run_document(entry) for entry in entries]}
    output.result(content, document, quiet="\n".join(str(entry.path) for entry in entries))


def _figures(entry: Entry) -> tuple[str, ...]:
    config, result = entry.config, entry.result
    settings = (config.norm, str(config.seed), str(config.training.epochs)) if config else ("-", "-", "-")
    if result is None:
        return (*settings, "-", "-", "-")
    return (*settings, percent(result.train_accuracy), percent(result.test_accuracy), f"{result.seconds:.1f}")


def run_document(entry: Entry) -> dict[str, object]:
    """Return the JSON document of a run."""
    return {
        "name": entry.name,
        "folder": str(entry.path),
        "state": entry.state,
        "problem": entry.problem or None,
        "result": entry.result.model_dump(mode="json") if entry.result else None,
    }


def show_run(output: Output, entry: Entry) -> None:
    """Print result, settings and environment of a run."""
    sections = {
        "result": entry.result.model_dump(mode="json", exclude_none=True) if entry.result else {},
        "settings": entry.config.model_dump(mode="json", exclude_none=True) if entry.config else {},
        "environment": read_environment(entry.path),
    }
    parts: list[RenderableType] = [Text(f"{entry.name}: {entry.state} {entry.problem}".rstrip(), style="bold")]
    for title, content in sections.items():
        if content:
            parts.append(_two_columns(title, content))
    output.result(parts, {"command": "runs show", **run_document(entry), **sections}, quiet=str(entry.path))


def _two_columns(title: str, content: dict[str, Any]) -> RenderableType:
    table = plain_table(title, "", left=2, wraps=[1])
    for key, value in flat(content).items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    return table


def show_differences(output: Output, a: Entry, b: Entry, differences: Sequence[tuple[str, Any, Any]]) -> None:
    """Print the settings in which two runs differ, one row per setting."""
    table = plain_table("setting", a.name, b.name, left=3, wraps=[1, 2], keep=[a.name, b.name])
    for key, left, right in differences:
        table.add_row(key, json.dumps(left), json.dumps(right))
    content: RenderableType = table if differences else Text("Same settings, same environment.")
    document = {
        "command": "runs diff",
        "runs": [a.name, b.name],
        "differences": [{"key": key, "values": [left, right]} for key, left, right in differences],
    }
    output.result(content, document, quiet="\n".join(key for key, _, _ in differences))


def show_cleaned(output: Output, cleaned: Cleaned, removed: bool) -> None:
    """Print the runs that `runs clean` removed or would remove, and those that it keeps."""
    action = "removed" if removed else "would be removed; --yes removes"
    lines = [f"{entry.name} ({entry.state})" for entry in cleaned.removed]
    lines += [f"{len(lines)} unfinished run(s) {action}."] if lines else []
    lines += [f"{entry.name} stays: {reason}" for entry, reason in cleaned.kept]
    document = {
        "command": "runs clean",
        "removed": removed,
        "runs": [str(entry.path) for entry in cleaned.removed],
        "kept": [{"run": str(entry.path), "state": entry.state, "reason": reason} for entry, reason in cleaned.kept],
    }
    output.result(
        Text("\n".join(lines or ["Nothing to clean."])),
        document,
        quiet="\n".join(str(entry.path) for entry in cleaned.removed),
    )
