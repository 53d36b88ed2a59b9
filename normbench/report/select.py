"""Selection of the runs for one table. Those with a result, on equal terms, each seed once."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normbench.config.settings import MOVES_NO_NUMBER
from normbench.runs import Entry, RunResult, flat

OF_NORM = ("groups", "norm_source", "norm_revision")
"""Settings in which two norms of one name may differ."""
OF_ONE_RUN = {"norm", "seed", *OF_NORM, *MOVES_NO_NUMBER, "training.lr", "training.weight_decay"}
"""Settings in which the runs of one comparison may differ."""
UNFINISHED = {
    "interrupted": "it is under way, or was interrupted: the command that started it resumes it",
    "new": "it has not finished an epoch: it has just begun, or failed",
}
OTHER_VERSION = "it is a copy, or of another version of its norm, of which there are fewer runs"


@dataclass(frozen=True)
class Finished:
    """A run with its settings and its result, both read."""

    entry: Entry
    settings: dict[str, Any]
    """Settings of the config by dotted key."""
    result: RunResult

    @property
    def path(self) -> Path:
        """Folder of the run."""
        return self.entry.path

    @property
    def terms(self) -> dict[str, Any]:
        """Settings that runs must share to be compared."""
        return {key: value for key, value in self.settings.items() if key not in OF_ONE_RUN}


@dataclass(frozen=True)
class LeftOut:
    """Run in the folder that is not in the report."""

    run: str
    reason: str


Grouping = Callable[[Finished], Hashable]


def select(entries: Sequence[Entry]) -> tuple[list[Finished], list[LeftOut]]:
    """Select the runs to report on, and list the others with the reason.

    Of several sets of runs on equal terms, the one with the most training is selected, sets with test accuracies
    before searches; of several versions of a norm (groups, code or revision), the one with more seeds.
    """
    runs = [(entry, _finished(entry)) for entry in entries]
    finished = [run for _, run in runs if run]
    left_out = [LeftOut(entry.path.name, _unfinished(entry)) for entry, run in runs if not run]
    equal = _largest(finished, lambda run: repr(run.terms))
    left_out += [LeftOut(run.path.name, _other_terms(run, equal[0])) for run in _without(finished, equal)]
    chosen = [run for group in _groups(equal, _setting).values() for run in _distinct_seeds(_largest(group, _version))]
    return chosen, left_out + [LeftOut(run.path.name, OTHER_VERSION) for run in _without(equal, chosen)]


def _without(runs: Sequence[Finished], others: Sequence[Finished]) -> list[Finished]:
    """List the runs that are not among the others, by name, as comparing all pairs of runs takes minutes."""
    names = {run.path.name for run in others}
    return [run for run in runs if run.path.name not in names]


def _distinct_seeds(runs: Sequence[Finished]) -> list[Finished]:
    return [same[0] for same in _groups(runs, lambda run: run.result.seed).values()]


def _finished(entry: Entry) -> Finished | None:
    if entry.config is None or entry.result is None:
        return None
    return Finished(entry, flat(entry.config.model_dump(mode="json")), entry.result)


def _unfinished(entry: Entry) -> str:
    damage = entry.problem if entry.state == "newer" else f"it is damaged: {entry.problem}"
    return UNFINISHED.get(entry.state, damage)


def _other_terms(run: Finished, kept: Finished) -> str:
    """Describe the settings in which a run differs from those in the report."""
    ours, theirs = run.terms, kept.terms
    keys = [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]
    listed = ", ".join(f"{key} = {ours.get(key)} instead of {theirs.get(key)}" for key in keys)
    return f"it is not on equal terms: {listed}"


def _setting(run: Finished) -> Hashable:
    return run.result.norm, run.result.lr, run.result.weight_decay


def _version(run: Finished) -> Hashable:
    return tuple(run.settings[name] for name in OF_NORM)


def _groups(runs: Sequence[Finished], key: Grouping) -> dict[Hashable, list[Finished]]:
    groups: dict[Hashable, list[Finished]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _largest(runs: Sequence[Finished], key: Grouping) -> list[Finished]:
    """Find the group with the most training; the first among equal ones, so that the choice is deterministic."""
    return max(_groups(runs, key).values(), key=_weight, default=[])


def _weight(runs: Sequence[Finished]) -> tuple[bool, int]:
    reads_test = bool(runs[0].settings["read_test"])
    return reads_test and len({_setting(run) for run in runs}) > 1, sum(_images(run) for run in runs)


def _images(run: Finished) -> int:
    return run.result.train_images * run.result.epochs
