"""How fast a norm trains: epochs and seconds until the validation accuracy first reaches a target.

Only the validation split can tell: the test images are read once, after the last epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from normbench.analysis.estimates import Estimate, estimate
from normbench.errors import RunFailedError
from normbench.runs import RunResult, read_rows
from normbench.training import EpochRow

TARGETS = (0.70, 0.75, 0.80)


@dataclass(frozen=True)
class Hit:
    """The first epoch (counted from 1) at or above a target, and the seconds of training up to its end."""

    epoch: int
    seconds: float


@dataclass(frozen=True)
class Target:
    """How the runs of one norm and setting fared with one validation accuracy (a fraction)."""

    norm: str
    lr: float
    weight_decay: float
    accuracy: float
    hits: tuple[Hit | None, ...]
    """One a run that was measured, in order of the runs; None is a miss. Empty means not measured."""

    @property
    def measured(self) -> bool:
        """Whether there was a validation split to measure with."""
        return bool(self.hits)

    @property
    def reached(self) -> int:
        """Runs that got there."""
        return sum(hit is not None for hit in self.hits)

    @property
    def epochs(self) -> Estimate | None:
        """Epochs it took; None unless every run got there, as a mean of the hits alone would flatter a norm."""
        return self._over_runs([hit.epoch for hit in self.hits if hit])

    @property
    def seconds(self) -> Estimate | None:
        """Seconds of training it took; None unless every run got there."""
        return self._over_runs([hit.seconds for hit in self.hits if hit])

    def _over_runs(self, values: Sequence[float]) -> Estimate | None:
        return estimate(values) if self.reached == len(self.hits) else None


def first_hit(rows: Sequence[EpochRow], accuracy: float) -> Hit | None:
    """The first of a run's epochs that reaches a validation accuracy; None is a miss."""
    for index, row in enumerate(rows):
        if row.validation_accuracy is not None and row.validation_accuracy >= accuracy:
            return Hit(row.epoch, sum(earlier.seconds for earlier in rows[: index + 1]))
    return None


def targets(results: Iterable[RunResult], accuracies: Sequence[float] = TARGETS) -> list[Target]:
    """Every norm and setting with every target accuracy, in the order they first appear.

    A run that diverged is a miss, however far it got; a run that failed was not measured.

    Raises:
        RunFailedError: The epochs of a run cannot be read, or are not all there.
    """
    groups: dict[tuple[str, float, float], list[list[EpochRow]]] = {}
    results = list(results)
    measuring = any(result.validation_accuracy is not None for result in results)
    for result in results:
        runs = groups.setdefault((result.norm, result.lr, result.weight_decay), [])
        if measuring and result.status != "failed":
            runs.append(_epochs(result) if result.status == "done" else [])
    return [
        Target(*group, accuracy, tuple(first_hit(rows, accuracy) for rows in runs))
        for group, runs in groups.items()
        for accuracy in accuracies
    ]


def _epochs(result: RunResult) -> list[EpochRow]:
    if result.folder is None:
        raise RunFailedError(f"{result.norm} seed {result.seed} has no run folder, and so no epochs to read")
    path = Path(result.folder) / "metrics.jsonl"
    rows = read_rows(path)
    if len(rows) != result.epochs:
        raise RunFailedError(
            f"{path} has {len(rows)} epochs, but the run had {result.epochs}", "Redo the run with --force."
        )
    return rows
