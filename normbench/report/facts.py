"""What an experiment was run with: settings, environment, what differs among its runs, and the way to do it again."""

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from normbench.config.settings import MOVES_NO_NUMBER
from normbench.report.experiment import Experiment, Series
from normbench.report.select import Finished
from normbench.runs import flat, read_environment

OF_THE_DESIGN = {"norm", "seed", *MOVES_NO_NUMBER}
"""What a comparison varies, and what moves no number."""
SEARCHED = {"training.lr", "training.weight_decay"}
COMMANDS = {"normbench", "normbench.exe", "__main__.py"}


@dataclass(frozen=True)
class Facts:
    """Settings or environment, as one level of dotted keys; values as JSON spells them, texts without quotes."""

    shared: list[tuple[str, str]]
    """Equal for all runs."""
    differing: list[tuple[str, str, str]]
    """Key, value, and the runs with this value."""


@dataclass(frozen=True)
class Reproduction:
    """The lines to type, and what they were typed into."""

    commands: list[str]
    versions: list[str]


def settings(experiment: Experiment) -> Facts:
    """Every setting but the norm and the seed, and what a search tried, which its table shows."""
    left_out = OF_THE_DESIGN | (SEARCHED if experiment.searching else set())
    return _facts(experiment, lambda run: {k: v for k, v in run.settings.items() if k not in left_out})


def environment(experiment: Experiment) -> Facts:
    """Versions, device and commit; not the command lines, which have a section of their own."""
    return _facts(experiment, lambda run: {k: v for k, v in flat(read_environment(run.path)).items() if k != "argv"})


def _facts(experiment: Experiment, of: Callable[[Finished], dict[str, Any]]) -> Facts:
    tables = [(one, run, {key: _said(value) for key, value in of(run).items()}) for one, run in _runs(experiment)]
    keys = dict.fromkeys(key for _, _, table in tables for key in table)
    shared, differing = [], []
    for key in keys:
        holders: dict[str, list[tuple[Series, Finished]]] = {}
        for one, run, table in tables:
            holders.setdefault(table.get(key, "not recorded"), []).append((one, run))
        if len(holders) == 1:
            shared.append((key, next(iter(holders))))
        else:
            differing += [(key, value, _who(who)) for value, who in holders.items()]
    return Facts(shared, differing)


def _runs(experiment: Experiment) -> list[tuple[Series, Finished]]:
    return [(one, run) for one in experiment.series for run in one.runs]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _who(holders: Sequence[tuple[Series, Finished]]) -> str:
    """The labels, with seeds only where not all runs of one are meant."""
    seeds: dict[str, list[int]] = {}
    sizes = {one.label: len(one.runs) for one, _ in holders}
    for one, run in holders:
        seeds.setdefault(one.label, []).append(run.result.seed)
    named = (
        label if len(of) == sizes[label] else f"{label} (seed {', '.join(map(str, of))})" for label, of in seeds.items()
    )
    return "; ".join(named)


def reproduction(experiment: Experiment) -> Reproduction:
    """The commands that trained the runs, each once, in the order of the runs."""
    environments = [read_environment(run.path) for _, run in _runs(experiment)]
    commits = _each_once(environments, "git_commit")
    lines = [f"git checkout {commit}" for commit in commits] + ["pip install -c constraints.txt -e ."] * bool(commits)
    typed = dict.fromkeys(command for found in environments if (command := command_line(found.get("argv"))))
    outs = dict.fromkeys(out for found in environments for out in _out(found.get("argv")))
    last = shlex.join(["normbench", "report", experiment.name, *outs])
    versions = {
        "normbench": _each_once(environments, "normbench"),
        "Python": _each_once(environments, "python"),
        "torch": list(dict.fromkeys(result.torch for result in experiment.results)),
        "on": list(dict.fromkeys(result.device for result in experiment.results)),
    }
    return Reproduction([*lines, *typed, last], [f"{name} {' or '.join(of)}" for name, of in versions.items() if of])


def _each_once(environments: Sequence[dict[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(str(found[key]) for found in environments if found.get(key)))


def command_line(argv: object) -> str:
    """A command line as it can be typed again; empty where none was recorded."""
    if not isinstance(argv, list) or not argv:
        return ""
    program, *arguments = map(str, argv)
    return shlex.join(["normbench" if Path(program).name in COMMANDS else program, *arguments])


def _out(argv: object) -> list[str]:
    """The output folder of a command line, as one flag; nothing where it was not given there."""
    words = list(map(str, argv)) if isinstance(argv, list) else []
    after = [f"--out={value}" for flag, value in pairwise(words) if flag == "--out"]
    return [*after, *(word for word in words if word.startswith("--out="))][-1:]
