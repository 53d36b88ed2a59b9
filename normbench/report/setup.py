"""Setup of an experiment: its norms, settings, environment and runs, and the commands that reproduce it."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from normbench.analysis import Series, Table
from normbench.analysis.format import percent
from normbench.config.norm_names import NormName
from normbench.config.settings import MOVES_NO_NUMBER
from normbench.norms import NormInfo, norm_info
from normbench.norms.weights import WEIGHTS
from normbench.report.axes import axes_svg
from normbench.report.elements import Code, Element, Fold, Norm, Norms, Section, TableElement, Text
from normbench.report.experiment import Experiment
from normbench.report.select import Finished
from normbench.runs import flat, read_environment

VARIED = {"norm", "seed", *MOVES_NO_NUMBER}
"""Settings that a comparison varies, and those that do not affect results."""
SEARCHED = {"training.lr", "training.weight_decay"}
COMMANDS = {"normbench", "normbench.exe", "__main__.py"}
RUN_COLUMNS = ("run", "norm", "seed", "state", "train accuracy", "test accuracy", "seconds")


@dataclass(frozen=True)
class Facts:
    """Settings or environment with dotted keys; values as in JSON, text without quotes."""

    shared: list[tuple[str, str]]
    """Equal for all runs."""
    differing: list[tuple[str, str, str]]
    """Key, value, and the runs with this value."""


@dataclass(frozen=True)
class Reproduction:
    """Commands that reproduce an experiment, and the versions that it was made with."""

    commands: list[str]
    versions: list[str]


def norms(experiment: Experiment) -> Section:
    """Formula of each norm, with a picture of the axes that it averages over."""
    first = {series.row.norm: series for series in reversed(experiment.comparison.series)}
    shown = [series for series in experiment.comparison.series if first[series.row.norm] is series]
    cards = [_norm(series, experiment.runs_of(series)[0]) for series in shown]
    return Section("norms", "The norms", [Norms(cards)])


def _norm(series: Series, run: Finished) -> Norm:
    info = norm_info(series.row.norm, run.settings["groups"])
    switch = WEIGHTS.get(NormName.parse(series.row.norm).weights)
    return Norm(
        name=series.row.norm,
        title=info.title,
        formula=f"y = {info.formula}",
        axes=_axes(info) + info.axes_sentence + (f" {switch.sentence}" if switch else ""),
        when=info.when,
        avoid=info.avoid,
        paper=info.paper,
        picture=axes_svg(info, f"axes-{series.index + 1}"),
    )


def _axes(info: NormInfo) -> str:
    """Name the axes by their letters, if there are any."""
    axes = info.axes
    if axes is None or axes.is_empty:
        return ""
    return f"{axes}, with {axes.count} groups. " if axes.channels == "group" else f"{info.axes_text}. "


def configuration(experiment: Experiment) -> Section:
    """Settings and environment, shared and differing, and every run."""
    elements = [
        *_facts("settings", "Settings", _settings(experiment)),
        *_facts("environment", "Environment", _environment(experiment)),
        Fold(f"Every run ({len(experiment.runs)})", [_runs(experiment)]),
    ]
    if experiment.left_out:
        title, rows = "Runs in this folder that are not in the report", [(r.run, r.reason) for r in experiment.left_out]
        elements.append(
            Fold(f"Runs that are left out ({len(rows)})", [_text_table("left-out", title, ("run", "reason"), rows)])
        )
    return Section("configuration", "Configuration and environment", elements)


def _facts(ident: str, title: str, facts: Facts) -> list[Element]:
    name = title.lower()
    shared = _text_table(f"{ident}-shared", f"{title} that all runs share", ("name", "value"), facts.shared)
    folded = Fold(f"{title} that all runs share ({len(facts.shared)})", [shared])
    if not facts.differing:
        but = ", except for those in the tables above" if ident == "settings" else ""
        return [Text(f"All runs have the same {name}{but}."), folded]
    columns = ("name", "value", "runs")
    return [_text_table(f"{ident}-differing", f"{title} that differ", columns, facts.differing), folded]


def _text_table(ident: str, title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> TableElement:
    return TableElement(ident, Table(title=title, columns=columns, rows=tuple(rows), sentences=True))


def _runs(experiment: Experiment) -> TableElement:
    rows = tuple(
        (
            run.path.name,
            series.label,
            str(run.result.seed),
            run.result.status,
            percent(run.result.train_accuracy),
            percent(run.result.test_accuracy),
            f"{run.result.seconds:.1f}",
        )
        for series in experiment.comparison.series
        for run in experiment.runs_of(series)
    )
    return TableElement("runs", Table(title="The runs behind this report", columns=RUN_COLUMNS, rows=rows))


def reproduce(experiment: Experiment) -> Section:
    """Commands that made the runs, and versions that they were made with."""
    reproduction = _reproduction(experiment)
    versions = f"Made with {'; '.join(reproduction.versions)}. constraints.txt beside the source has the rest."
    return Section("reproduce", "How to reproduce", [Code("\n".join(reproduction.commands)), Text(versions, "note")])


def _settings(experiment: Experiment) -> Facts:
    """Every setting but norm and seed, and the settings of a search, which its table shows."""
    left_out = VARIED | (SEARCHED if experiment.comparison.searching else set())
    return _collect(experiment, lambda run: {k: v for k, v in run.settings.items() if k not in left_out})


def _environment(experiment: Experiment) -> Facts:
    """Versions, device and commit; not the command lines, which have a section of their own."""
    return _collect(experiment, lambda run: {k: v for k, v in flat(read_environment(run.path)).items() if k != "argv"})


def _collect(experiment: Experiment, values_of: Callable[[Finished], dict[str, Any]]) -> Facts:
    tables = [
        (series, run, {key: _text(value) for key, value in values_of(run).items()})
        for series in experiment.comparison.series
        for run in experiment.runs_of(series)
    ]
    keys = dict.fromkeys(key for _, _, table in tables for key in table)
    shared, differing = [], []
    for key in keys:
        holders: dict[str, list[tuple[Series, Finished]]] = {}
        for series, run, table in tables:
            holders.setdefault(table.get(key, "not recorded"), []).append((series, run))
        if len(holders) == 1:
            shared.append((key, next(iter(holders))))
        else:
            differing += [(key, value, _names(runs)) for value, runs in holders.items()]
    return Facts(shared, differing)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _names(runs: Sequence[tuple[Series, Finished]]) -> str:
    """Labels of runs, with seeds only where some runs of a series are missing."""
    seeds: dict[str, list[int]] = {}
    sizes = {series.label: len(series.results) for series, _ in runs}
    for series, run in runs:
        seeds.setdefault(series.label, []).append(run.result.seed)
    return "; ".join(
        label if len(some) == sizes[label] else f"{label} (seed {', '.join(map(str, some))})"
        for label, some in seeds.items()
    )


def _reproduction(experiment: Experiment) -> Reproduction:
    """Collect the commands that trained the runs, each once, in the order of the runs."""
    environments = [read_environment(run.path) for run in experiment.runs]
    commits = _distinct(environments, "git_commit")
    lines = [f"git checkout {commit}" for commit in commits] + ["pip install -c constraints.txt -e ."] * bool(commits)
    typed = dict.fromkeys(command for env in environments if (command := command_line(env.get("argv"))))
    outs = dict.fromkeys(out for env in environments for out in _out(env.get("argv")))
    last = shlex.join(["normbench", "report", experiment.name, *outs])
    versions = {
        "normbench": _distinct(environments, "normbench"),
        "Python": _distinct(environments, "python"),
        "torch": list(dict.fromkeys(result.torch for result in experiment.comparison.results)),
        "on": list(dict.fromkeys(result.device for result in experiment.comparison.results)),
    }
    return Reproduction(
        [*lines, *typed, last], [f"{name} {' or '.join(some)}" for name, some in versions.items() if some]
    )


def _distinct(environments: Sequence[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(env[key]) for env in environments if env.get(key)))


def command_line(argv: object) -> str:
    """Format a command line so that it can be typed again; empty if none was recorded."""
    if not isinstance(argv, list) or not argv:
        return ""
    program, *arguments = map(str, argv)
    return shlex.join(["normbench" if Path(program).name in COMMANDS else program, *arguments])


def _out(argv: object) -> list[str]:
    """Return the output folder of a command line as one flag; empty if it has none."""
    arguments = list(map(str, argv)) if isinstance(argv, list) else []
    separate = [f"--out={value}" for flag, value in pairwise(arguments) if flag == "--out"]
    return [*separate, *(argument for argument in arguments if argument.startswith("--out="))][-1:]
