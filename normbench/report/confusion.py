"""Where each norm errs on the test images, summed over seeds: as its runs kept it, else from their weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from normbench import data as datasets
from normbench.analysis import Estimate, estimate
from normbench.config import MachineConfig
from normbench.data import DataSet
from normbench.device import resolve_device
from normbench.errors import NormbenchError, UsageError
from normbench.evaluation import recognised
from normbench.report.experiment import Experiment, Series
from normbench.report.select import Finished
from normbench.runs import read_confusion, usable
from normbench.runs.evaluate import score_again


@dataclass(frozen=True)
class Confusion:
    """A norm's decisions on the test images, over its seeds."""

    series: Series
    counts: np.ndarray
    """(classes, classes): images by true class (row) and decided class (column), summed over seeds."""
    per_class: tuple[Estimate | None, ...]
    """Accuracy on each class, over seeds; None of a class without images."""


@dataclass(frozen=True)
class Mistakes:
    """What is known, and a sentence for all that is not."""

    classes: tuple[str, ...]
    confusions: tuple[Confusion, ...]
    notes: tuple[str, ...]


def find_mistakes(experiment: Experiment, machine: MachineConfig) -> Mistakes:
    """The confusion matrices of the finished runs.

    A run of an earlier version kept none: its weights are scored again, if its data set is at hand.
    """
    if experiment.searching:
        return Mistakes((), (), ("A search leaves the test images unread, and so does its report.",))
    if not any(one.done for one in experiment.series):
        return Mistakes((), (), ("No run was finished, so there are no decisions to count.",))
    reader = _Reader(machine)
    found = [_confusion(one, reader) for one in experiment.series if not one.row.diverged]
    reader.notes += [
        f"{one.label}: {one.row.diverged} of {one.row.runs} diverged, so it has no accuracy by class and no confusions."
        for one in experiment.series
        if one.row.diverged
    ]
    return Mistakes(reader.classes, tuple(one for one in found if one), tuple(reader.notes))


@dataclass
class _Reader:
    """The matrices of runs, and what stood in the way of some."""

    machine: MachineConfig
    classes: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    data: DataSet | NormbenchError | None = None
    """The images, or why they are not at hand; None as long as no run has needed them."""

    def kept(self, run: Finished) -> np.ndarray | None:
        """What the run kept, if it gives the recorded accuracy."""
        found = read_confusion(run.path)
        if found is None or found.accuracy != run.result.test_accuracy:
            return None
        if self.classes not in ((), found.classes):
            return None
        self.classes = found.classes
        return np.array(found.counts, dtype=np.int64)

    def again(self, run: Finished) -> np.ndarray:
        """The run's weights on the test images, unless its norm is no longer what it was trained with.

        Raises:
            NormbenchError: It has no usable weights, or its data set is not at hand.
        """
        data = self.images(run)
        self.classes = data.classes
        return np.array(score_again(run.entry, data).confusion, dtype=np.int64)

    def images(self, run: Finished) -> DataSet:
        """The data set without a download: a report is no reason to start one. All runs share it."""
        if self.data is None:
            here = self.machine.model_copy(update={"offline": True})
            try:
                self.data = datasets.load(usable(run.entry).data, here, resolve_device(self.machine.device))
            except NormbenchError as error:
                self.data = UsageError(f"the data set is not at hand: {error.message}")
        if isinstance(self.data, NormbenchError):
            raise self.data
        return self.data


def _confusion(series: Series, reader: _Reader) -> Confusion | None:
    matrices: list[np.ndarray] = []
    failed: dict[str, list[int]] = {}
    gaps = [0.0]
    for run in series.done:
        kept = reader.kept(run)
        try:
            matrices.append(reader.again(run) if kept is None else kept)
        except NormbenchError as error:
            failed.setdefault(error.message, []).append(run.result.seed)
        else:
            gaps.append(abs(_accuracy(matrices[-1]) - (run.result.test_accuracy or 0.0)))
    label = series.label
    reader.notes += [
        f"{label} (seed {_listed(of)}) kept no counts that fit its accuracy, and could not be evaluated again: {why}."
        for why, of in failed.items()
    ]
    if max(gaps) > 0:
        reader.notes.append(
            f"{label}: evaluated here, test accuracies are up to {100 * max(gaps):.2f} pp off the recorded ones, as "
            "another device or version may be."
        )
    if not matrices:
        return None
    per_class = zip(*(recognised(matrix) for matrix in matrices), strict=True)
    estimates = tuple(estimate([value for value in values if value is not None]) for values in per_class)
    return Confusion(series, np.sum(matrices, axis=0), estimates)


def _accuracy(matrix: np.ndarray) -> float:
    return int(matrix.trace()) / int(matrix.sum())


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
