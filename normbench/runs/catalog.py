"""Finding, comparing and removing runs on disk."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normbench.config import RunConfig
from normbench.config.validation import user_path
from normbench.errors import NormbenchError, RunFailedError, UsageError, nearest
from normbench.files import FOLDER, TEMPORARY, check_regular, in_words, kind_of
from normbench.locking import SOFT
from normbench.runs.archive import (
    ARCHIVE,
    CONFIG,
    CONFUSION,
    ENVIRONMENT,
    METRICS,
    MODEL,
    RESULT,
    ArchiveError,
    is_archived,
    is_run,
    run_folders,
)
from normbench.runs.folder import (
    STATE,
    read_config,
    read_result,
    read_rows,
    read_state,
    state_of,
)
from normbench.runs.kept_code import remove_code
from normbench.runs.lock import HOLDER, LOCK, held
from normbench.runs.result import RunResult
from normbench.runs.schema import NewerFormatError, read_document

# Not differences between two runs, but between two moments.
MOMENTARY = ("argv",)

FINDING = "finding.json"
"""Result of a study (`normbench.analysis.StudyResult`), in the folder of its experiment."""


@dataclass(frozen=True)
class Entry:
    """A run folder, or a run in an archive; `config` is None and `problem` says why where it cannot be read.

    An archive that cannot be read stands for the runs in it, with its own path.
    """

    path: Path
    state: str
    """`done`, `diverged`, `interrupted`, `new` (no epoch finished), `damaged`, or `newer`: of a newer normbench."""
    config: RunConfig | None = None
    result: RunResult | None = None
    problem: str = ""
    archive: Path | None = None
    """Archive that the run is read from; None of a run that has its folder."""

    @property
    def name(self) -> str:
        """Experiment and folder: unique under one --out."""
        path = self.path.absolute()
        return f"{path.parent.name}/{path.name}"


def list_runs(out: Path) -> list[Entry]:
    """Every run under a folder, by experiment and name."""
    return [entry for folder in sorted(out.glob("*")) for entry in list_experiment(folder)]


def read_entry(folder: Path) -> Entry:
    """Look at one run folder; damage is part of the answer."""
    try:
        config = read_config(folder)
        result = read_result(folder)
    except NewerFormatError as error:
        return Entry(folder, "newer", problem=error.message)
    except (OSError, NormbenchError) as error:
        return Entry(folder, "damaged", problem=str(error))
    archive = folder.parent / ARCHIVE if is_archived(folder) else None
    return Entry(folder, result.status if result else state_of(folder), config, result, archive=archive)


def find_run(name: str, out: Path) -> Entry:
    """The run of a folder's path, or of a name under `out` (a part of it will do, where only one run has it).

    Raises:
        UsageError: There is none, or there are several.
    """
    if is_run(path := user_path(name)):
        return read_entry(path)
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
    for folder in (out / name, user_path(name)):
        if is_run(folder):
            raise UsageError(f"{folder} is one run, not an experiment", f"Its experiment is {folder.resolve().parent}.")
        if any(folder.glob(f"*/{CONFIG}")) or any((folder / name).is_file() for name in (FINDING, ARCHIVE)):
            return folder
    known = {entry.path.parent.name for entry in list_runs(out)} | {
        path.parent.name for path in out.glob(f"*/{FINDING}")
    }
    hint = nearest(name, known) if known else f"There are no runs in {out}."
    raise UsageError(f"no experiment '{name}' under {out}", hint)


def list_experiment(folder: Path) -> list[Entry]:
    """The runs of one experiment, by name: those with a folder, and those in its archive."""
    try:
        return [read_entry(path) for path in run_folders(folder)]
    except ArchiveError as error:
        unreadable = Entry(folder / ARCHIVE, "newer" if error.newer else "damaged", problem=error.message)
        return [*(read_entry(path.parent) for path in sorted(folder.glob(f"*/{CONFIG}"))), unreadable]


def usable(entry: Entry) -> RunConfig:
    """The settings of a run whose folder could be read.

    Raises:
        RunFailedError: It is damaged, or of a newer normbench.
    """
    if entry.state == "newer":
        raise RunFailedError(entry.problem, "Use that normbench for it.")
    if entry.config is None:
        raise RunFailedError(f"{entry.path} is damaged: {entry.problem}", "Train it again with --force.")
    return entry.config


def read_environment(folder: Path) -> dict[str, Any]:
    """Environment of a run from its env.json; empty if it is missing or cannot be read."""
    try:
        return read_document(folder / ENVIRONMENT)
    except (OSError, NormbenchError):
        return {}


def differences(a: Entry, b: Entry) -> list[tuple[str, Any, Any]]:
    """Differences in settings and environment: dotted key, value of `a`, value of `b`; None where one has none."""
    left, right = (_flat_settings(entry) for entry in (a, b))
    keys = list(dict.fromkeys([*left, *right]))
    return [(key, left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)]


@dataclass(frozen=True)
class Cleaned:
    """Unfinished runs: those that were removed, or would be, and those that stay, each with the reason."""

    removed: tuple[Entry, ...]
    kept: tuple[tuple[Entry, str], ...]


def clean(entries: Sequence[Entry], remove: bool) -> Cleaned:
    """Remove the runs that have no result and that this normbench can read: a damaged or newer one may be of use.

    Args:
        entries: The runs to look at, of any state.
        remove: False only tells which they are.
    """
    removed, kept = [], []
    for entry in entries:
        if entry.state in {"done", "diverged"} or entry.archive is not None:
            continue
        try:
            _check_unfinished(entry)
            if remove and (left := _remove(entry)):
                kept.append((entry, f"its files are removed; not of normbench: {', '.join(left)}"))
            removed.append(entry)
        except NormbenchError as error:
            kept.append((entry, error.message))
    return Cleaned(tuple(removed), tuple(kept))


def _check_unfinished(entry: Entry) -> None:
    """Read every file of a run that has no result, so that nothing is removed that cannot be read."""
    if entry.state in {"damaged", "newer"}:
        raise RunFailedError(entry.problem)
    folder = entry.path
    names = [name for name in WRITTEN if kind_of(folder / name) is not None]
    for name in names:
        check_regular(folder / name)
    if ENVIRONMENT in names:
        read_document(folder / ENVIRONMENT)
    if STATE in names:
        read_state(folder / STATE)
    try:
        read_rows(folder / METRICS)
    except NewerFormatError:
        raise
    except NormbenchError:
        pass  # its last line may be cut off; the state has the same epochs


WRITTEN = (CONFIG, ENVIRONMENT, METRICS, STATE, MODEL, CONFUSION, RESULT)
FILES = (*WRITTEN, HOLDER, f"{TEMPORARY}*", "events.out.tfevents.*")
"""Every file that a run leaves in its folder, the lock apart; what is not of these is not removed with it."""


def _remove(entry: Entry) -> list[str]:
    """Remove the files of a run, and its folder if nothing else is in it; returns the names of what else is there.

    Raises:
        UsageError: A process is writing it.
        RunFailedError: A file cannot be removed.
    """
    folder = entry.path
    with held(folder), in_words(folder):
        if state_of(folder) == "done":
            raise RunFailedError("it was finished by another process")
        remove_code(folder, usable(entry))
        ours = [path for path in folder.iterdir() if is_ours(path)]
        for path in sorted(ours, key=lambda path: path.name == CONFIG):  # the last: without it, it is no run
            path.unlink(missing_ok=True)
        locks = [folder / name for name in (LOCK, f"{LOCK}{SOFT}")]
        left = sorted(path.name for path in folder.iterdir() if path not in locks)
    if not left:
        with in_words(folder):
            for path in locks:
                path.unlink(missing_ok=True)
            folder.rmdir()
    return left


def is_ours(path: Path) -> bool:
    """Test whether a path in a run folder is a file that a run leaves there."""
    return kind_of(path) != FOLDER and any(fnmatch.fnmatch(path.name, name) for name in FILES)


def _flat_settings(entry: Entry) -> dict[str, Any]:
    environment = {key: value for key, value in read_environment(entry.path).items() if key not in MOMENTARY}
    return flat(usable(entry).model_dump(mode="json")) | flat(environment, "env.")


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted keys: `{"training": {"lr": 0.1}}` to `{"training.lr": 0.1}`."""
    leaves: dict[str, Any] = {}
    for key, value in settings.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return leaves
