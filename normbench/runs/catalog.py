"""The runs on disk: finding them, telling them apart, removing what was left unfinished."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from normbench.config import RunConfig
from normbench.errors import NormbenchError, RunFailedError, UsageError, nearest
from normbench.runs.folder import CONFIG, ENVIRONMENT, read_result, state_of
from normbench.runs.hold import held
from normbench.runs.result import RunResult

# Not differences between two runs, but between two moments.
MOMENTARY = ("argv",)

UNFINISHED = ("interrupted", "new")

FINDING = "finding.json"
"""In the folder of an experiment that answers a question of its own: what was found (`normbench.analysis.Finding`)."""


@dataclass(frozen=True)
class Entry:
    """A run folder as it is found; `config` is None and `problem` says why where it cannot be read."""

    path: Path
    state: str
    """`done`, `diverged`, `interrupted`, `new` (no epoch finished) or `damaged`."""
    config: RunConfig | None = None
    result: RunResult | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Experiment and folder: unique under one --out."""
        return f"{self.path.parent.name}/{self.path.name}"


def list_runs(out: Path) -> list[Entry]:
    """Every run under a folder, by experiment and name."""
    return [read_entry(path.parent) for path in sorted(out.glob(f"*/*/{CONFIG}"))]


def read_entry(folder: Path) -> Entry:
    """Look at one run folder; damage is part of the answer."""
    try:
        config = RunConfig.model_validate_json((folder / CONFIG).read_bytes())
        result = read_result(folder)
    except (ValidationError, OSError, NormbenchError) as error:
        return Entry(folder, "damaged", problem=str(error))
    return Entry(folder, result.status if result else state_of(folder), config, result)


def find_run(name: str, out: Path) -> Entry:
    """The run of a folder's path, or of a name under `out` (a part of it will do, where only one run has it).

    Raises:
        UsageError: There is none, or there are several.
    """
    if (Path(name) / CONFIG).is_file():
        return read_entry(Path(name))
    every = list_runs(out)
    exact = [entry for entry in every if name in (entry.name, entry.path.name)]
    fitting = exact or [entry for entry in every if name in entry.name]
    if not fitting:
        known = [entry.name for entry in every]
        raise UsageError(f"no run '{name}' under {out}", nearest(name, known) if known else f"There are none in {out}.")
    if len(fitting) > 1:
        raise UsageError(f"'{name}' fits {len(fitting)} runs", f"Say which: {', '.join(e.name for e in fitting)}")
    return fitting[0]


def find_experiment(name: str, out: Path) -> Path:
    """The folder of an experiment: a name under `out`, or a path to one.

    Raises:
        UsageError: There is none of that name, or it is the folder of a single run.
    """
    for folder in (out / name, Path(name)):
        if (folder / CONFIG).is_file():
            raise UsageError(f"{folder} is one run, not an experiment", f"Its experiment is {folder.resolve().parent}.")
        if any(folder.glob(f"*/{CONFIG}")) or (folder / FINDING).is_file():
            return folder
    known = {entry.path.parent.name for entry in list_runs(out)} | {
        path.parent.name for path in out.glob(f"*/{FINDING}")
    }
    hint = nearest(name, known) if known else f"There are no runs in {out}."
    raise UsageError(f"no experiment '{name}' under {out}", hint)


def list_experiment(folder: Path) -> list[Entry]:
    """The runs of one experiment, by name."""
    return [read_entry(path.parent) for path in sorted(folder.glob(f"*/{CONFIG}"))]


def usable(entry: Entry) -> RunConfig:
    """The settings of a run whose folder could be read.

    Raises:
        RunFailedError: It is damaged.
    """
    if entry.config is None:
        raise RunFailedError(f"{entry.path} is damaged: {entry.problem}", "Train it again with --force.")
    return entry.config


def read_environment(folder: Path) -> dict[str, Any]:
    """What env.json says of where a run was made; empty if it is missing or cannot be read."""
    try:
        content = json.loads((folder / ENVIRONMENT).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def differences(a: Entry, b: Entry) -> list[tuple[str, Any, Any]]:
    """What differs in settings and environment: dotted key, value of `a`, value of `b`; None where one has none."""
    left, right = (flat(usable(e).model_dump(mode="json")) | flat(_lasting(e.path), "env.") for e in (a, b))
    keys = list(dict.fromkeys([*left, *right]))
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


def unfinished(out: Path) -> list[Entry]:
    """Runs without a result, and damaged ones."""
    return [entry for entry in list_runs(out) if entry.state in {*UNFINISHED, "damaged"}]


def remove(entry: Entry) -> bool:
    """Delete a run folder, unless its run was finished since the entry was read; returns whether it was deleted.

    Raises:
        UsageError: A process is writing it, or it cannot be deleted.
    """
    with held(entry.path):
        if entry.state in UNFINISHED and state_of(entry.path) == "done":
            return False
        try:
            shutil.rmtree(entry.path)
        except OSError as error:
            raise UsageError(f"cannot delete {entry.path}: {error.strerror}") from error
    return True


def _lasting(folder: Path) -> dict[str, Any]:
    return {key: value for key, value in read_environment(folder).items() if key not in MOMENTARY}


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted keys: `{"training": {"lr": 0.1}}` to `{"training.lr": 0.1}`."""
    leaves: dict[str, Any] = {}
    for key, value in settings.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves
