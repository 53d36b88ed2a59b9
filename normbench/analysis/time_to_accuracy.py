"""Time until an accuracy is first reached. Epochs and seconds until the validation accuracy reaches a level.

Only the validation split can tell: the test images are read once, after the last epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, computed_field

from normbench.analysis.aggregate import DocumentModel, Estimate, estimate, group_by_setting
from normbench.errors import RunFailedError
from normbench.runs import RunResult, read_rows
from normbench.training import EpochRow

LEVELS = (0.70, 0.75, 0.80)
NOT_MEASURED = "not measured: no finished run had a validation split (--val-split)"


@dataclass(frozen=True)
class Reached:
    """First epoch (counted from 1) at or above a level, and the seconds of training up to its end."""

    epoch: int
    seconds: float


class TimeToAccuracy(DocumentModel):
    """Time that the runs of one norm and setting took to one validation accuracy (a fraction)."""

    norm: str
    lr: float
    weight_decay: float
    accuracy: float = Field(serialization_alias="validation_accuracy")
    times: tuple[Reached | None, ...] = Field(exclude=True)
    """One per measured run, in order of the runs; None is a miss. Empty if not measured."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def measured(self) -> bool:
        """True if there was a validation split to measure with."""
        return bool(self.times)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def why_not(self) -> str | None:
        """Reason why it was not measured."""
        return None if self.measured else NOT_MEASURED

    @computed_field  # type: ignore[prop-decorator]
    @property
    def runs(self) -> int:
        """Number of measured runs."""
        return len(self.times)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reached(self) -> int:
        """Number of runs that reached the level."""
        return sum(time is not None for time in self.times)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def epochs(self) -> Estimate | None:
        """Epochs to the level; None unless every run reached it, as a mean of the hits alone would flatter a norm."""
        return self._over_runs([time.epoch for time in self.times if time])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds(self) -> Estimate | None:
        """Seconds of training to the level; None unless every run reached it."""
        return self._over_runs([time.seconds for time in self.times if time])

    def _over_runs(self, values: Sequence[float]) -> Estimate | None:
        return estimate(values) if self.reached == self.runs else None


def first_reached(rows: Sequence[EpochRow], accuracy: float) -> Reached | None:
    """First epoch of a run with at least a validation accuracy; None is a miss."""
    for index, row in enumerate(rows):
        if row.validation_accuracy is not None and row.validation_accuracy >= accuracy:
            return Reached(row.epoch, sum(earlier.seconds for earlier in rows[: index + 1]))
    return None


def times_to_accuracy(results: Iterable[RunResult], levels: Sequence[float] = LEVELS) -> list[TimeToAccuracy]:
    """Measure every norm and setting at every level, in the order in which they first appear.

    A run that diverged is a miss, however far it got; a run that failed was not measured.

    Raises:
        RunFailedError: The epochs of a run cannot be read, or are not all there.
    """
    results = list(results)
    measured = any(result.validation_accuracy is not None for result in results)
    times = []
    for (norm, lr, weight_decay), of_setting in group_by_setting(results).items():
        finished = [result for result in of_setting if measured and result.status != "failed"]
        runs = [_epochs(result) if result.status == "done" else [] for result in finished]
        times += [
            TimeToAccuracy(
                norm=norm, lr=lr, weight_decay=weight_decay, accuracy=level,
                times=tuple(first_reached(rows, level) for rows in runs),
            )
            for level in levels
        ]  # fmt: skip
    return times


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
