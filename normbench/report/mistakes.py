"""Where each norm errs: the saved weights on the test images again, summed over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normbench import data as datasets
from normbench.analysis import Estimate, estimate
from normbench.config import MachineConfig
from normbench.data import DataSet
from normbench.device import resolve_device
from normbench.errors import NormbenchError, UsageError
from normbench.evaluation import Details
from normbench.norms import source_digest
from normbench.report.experiment import Experiment, Series
from normbench.report.selection import Finished
from normbench.runs import usable
from normbench.studies.evaluate import score_again


@dataclass(frozen=True)
class Confusion:
    """A norm's decisions on the test images, over its seeds."""

    series: Series
    counts: np.ndarray
    """(classes, classes): images by true class (row) and decided class (column), summed over seeds."""
    per_class: tuple[Estimate, ...]
    """Accuracy on each class, over seeds."""


@dataclass(frozen=True)
class Mistakes:
    """What the evaluation has found, and a sentence for all that it has not."""

    classes: tuple[str, ...]
    confusions: tuple[Confusion, ...]
    notes: tuple[str, ...]


def find_mistakes(experiment: Experiment, machine: MachineConfig) -> Mistakes:
    """Score the weights of every finished run again; without its data set at hand there is only the reason."""
    runs = [run for one in experiment.series for run in one.done]
    if experiment.searching:
        return Mistakes((), (), ("A search leaves the test images unread, and so does its report.",))
    if not runs:
        return Mistakes((), (), ("No run was finished, so there are no weights to evaluate.",))
    try:
        data = _at_hand(runs[0], machine)
    except NormbenchError as error:
        return Mistakes((), (), (f"Not measured, since the data set is not at hand: {error.message}",))
    notes: list[str] = []
    found = [_confusion(one, data, notes) for one in experiment.series]
    return Mistakes(data.classes, tuple(one for one in found if one), tuple(notes))


def _at_hand(run: Finished, machine: MachineConfig) -> DataSet:
    """The data set without a download: a report is no reason to start one."""
    here = machine.model_copy(update={"offline": True})
    return datasets.load(usable(run.entry).data, here, resolve_device(machine.device))


def _confusion(series: Series, data: DataSet, notes: list[str]) -> Confusion | None:
    scored: list[Details] = []
    failed: dict[str, list[int]] = {}
    for run in series.done:
        try:
            scored.append(_again(run, data))
        except NormbenchError as error:
            failed.setdefault(error.message, []).append(run.result.seed)
    notes += [f"{series.label} (seed {_listed(of)}) could not be evaluated again: {why}." for why, of in failed.items()]
    notes += _differing(series, scored) if len(scored) == len(series.done) else []
    if not scored:
        return None
    counts = np.sum([one.confusion for one in scored], axis=0)
    values = zip(*(one.per_class.values() for one in scored), strict=True)
    return Confusion(series, counts, tuple(found for one in values if (found := estimate(one))))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _again(run: Finished, data: DataSet) -> Details:
    """Score a run again, unless its norm is no longer what it was trained with."""
    config = usable(run.entry)
    if source_digest(config.norm) != config.norm_source:
        raise UsageError("the file of its norm has changed since")
    return score_again(run.entry, data)


def _differing(series: Series, scored: Sequence[Details]) -> list[str]:
    """Said where another device or version does not give the recorded accuracies again."""
    pairs = zip(series.done, scored, strict=True)
    gaps = [abs(again.accuracy - (run.result.test_accuracy or 0.0)) for run, again in pairs]
    if max(gaps, default=0.0) == 0.0:
        return []
    return [
        f"{series.label}: evaluated here, test accuracies are up to {100 * max(gaps):.2f} pp off the recorded ones, "
        "as another device or version may be."
    ]
