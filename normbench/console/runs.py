"""Output of `runs` on the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from normbench.analysis.format import percent
from normbench.config.settings import data_set_title
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.runs import Cleaned, Entry, Experiment, flat, read_environment
from normbench.runs.archiving import Archived
from normbench.text import counted

COLOURS = {
    "done": "green",
    "diverged": "red",
    "damaged": "red",
    "newer": "magenta",
    "interrupted": "yellow",
    "new": "yellow",
}


MOST_LISTED = 60
"""Runs that are listed one by one; of more only their experiments are."""


def show_runs(output: Output, experiments: Sequence[Experiment], out: Path, named: bool = False) -> None:
    """Print the runs of every experiment: state, norm, seed, accuracies, time.

    Args:
        output: Where they are printed.
        experiments: Experiments with their runs.
        out: Folder that they lie in.
        named: True if the experiment was asked for by name, and is listed whatever its size.
    """
    entries = [entry for experiment in experiments for entry in experiment.entries]
    if not experiments:
        content: list[RenderableType] = [Text(f"There are no runs in {out}.")]
    elif len(entries) > MOST_LISTED and not named:
        content = _summary(experiments, len(entries))
    else:
        content = [part for experiment in experiments for part in _listed(experiment)]
    document = {
        "command": "runs",
        "experiments": [experiment_document(experiment) for experiment in experiments],
        "runs": [run_document(entry) for entry in entries],
    }
    output.result(content, document, quiet="\n".join(str(entry.path) for entry in entries))


def _listed(experiment: Experiment) -> list[RenderableType]:
    """Lay out the heading of an experiment, and its runs."""
    heading = Text.assemble((experiment.name, "bold"), f": {_description(experiment)}")
    if not experiment.entries:
        return [heading, Text("")]
    table = plain_table("run", "state", "norm", "seed", "epochs", "train accuracy", "test accuracy", "seconds", left=3)
    for entry in experiment.entries:
        table.add_row(entry.path.name, Text(entry.state, style=COLOURS[entry.state]), *_figures(entry))
    return [heading, table]


def _summary(experiments: Sequence[Experiment], runs: int) -> list[RenderableType]:
    """Lay out one row per experiment."""
    table = plain_table("experiment", "of", "runs", "done", "norms", left=2, wraps=[4], keep=["experiment", "runs"])
    for experiment in experiments:
        norms = ", ".join(_norms(experiment))
        table.add_row(
            experiment.name, experiment.command or "-", str(len(experiment.entries)), str(_done(experiment)), norms
        )
    note = f"{runs:,} runs. `normbench runs --name EXPERIMENT` lists those of one experiment."
    return [table, Text(note, style="dim")]


def _description(experiment: Experiment) -> str:
    """Describe what an experiment is of: its command, and the images and epochs of its runs."""
    command = experiment.command or "runs"
    if not experiment.entries:
        return f"{command}, without runs of its own"
    parts = [f"{command}, {_done(experiment)} of {len(experiment.entries)} runs done"]
    configs = [entry.config for entry in experiment.entries if entry.config is not None]
    facts = (
        {data_set_title(config.data.name).partition(",")[0] for config in configs},
        {config.network.name for config in configs},
        {f"{config.training.epochs} epochs" for config in configs},
    )
    return "; ".join([*parts, *(next(iter(values)) for values in facts if len(values) == 1)])


def _norms(experiment: Experiment) -> list[str]:
    return list(dict.fromkeys(entry.config.norm for entry in experiment.entries if entry.config is not None))


def _done(experiment: Experiment) -> int:
    return sum(entry.state in ("done", "diverged") for entry in experiment.entries)


def experiment_document(experiment: Experiment) -> dict[str, object]:
    """Return the JSON document of an experiment, without its runs."""
    return {
        "name": experiment.name,
        "folder": str(experiment.path),
        "command": experiment.command,
        "runs": len(experiment.entries),
        "done": _done(experiment),
        "norms": _norms(experiment),
    }


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
        "archive": str(entry.archive) if entry.archive else None,
        "result": entry.result.model_dump(mode="json") if entry.result else None,
    }


def show_run(output: Output, entry: Entry) -> None:
    """Print result, settings and environment of a run."""
    sections = {
        "result": entry.result.model_dump(mode="json", exclude_none=True) if entry.result else {},
        "settings": entry.config.model_dump(mode="json", exclude_none=True) if entry.config else {},
        "environment": read_environment(entry.path),
    }
    archived = f"(in {entry.archive.name})" if entry.archive else ""
    title = " ".join(filter(None, (f"{entry.name}: {entry.state}", entry.problem, archived)))
    parts: list[RenderableType] = [Text(title, style="bold")]
    for heading, content in sections.items():
        if content:
            parts.append(_two_columns(heading, content))
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
    lines += [f"{counted(len(lines), 'unfinished run')} {action}."] if lines else []
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


def show_archived(output: Output, outcome: Archived, restored: bool) -> None:
    """Print the runs that were archived or restored, what was removed, and what stays with the reason."""
    verb = "restored from" if restored else "written to"
    lines = [f"{counted(len(outcome.changed), 'run')} {verb} {outcome.path}"]
    if not restored:
        lines[0] += f", which holds {len(outcome.runs)} in {outcome.size / 1e6:.1f} MB"
    if outcome.removed:
        lines.append("The archive is removed." if restored else f"{counted(len(outcome.removed), 'folder')} removed.")
    lines += [f"{kept.run} stays: {kept.reason}" for kept in outcome.kept]
    document = {
        "command": "runs archive",
        "archive": str(outcome.path),
        "restored": restored,
        "bytes": outcome.size,
        "runs": list(outcome.runs),
        "changed": list(outcome.changed),
        "removed": list(outcome.removed),
        "kept": [{"run": kept.run, "reason": kept.reason} for kept in outcome.kept],
    }
    output.result(Text("\n".join(lines)), document, quiet=str(outcome.path))
