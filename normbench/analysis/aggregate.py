"""Aggregation of results over seeds. Mean, spread and interval of the runs of one norm at one setting."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from normbench.runs import RunResult


class DocumentModel(BaseModel):
    """Base of everything that `--json` dumps: frozen, and dumped under the names that the documents have."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the JSON documents have it."""
        return self.model_dump(mode="json")


class Estimate(DocumentModel):
    """Mean over `n` seeds, with standard deviation and 95 % interval where n > 1; in the units of the values."""

    mean: float
    sd: float | None = None
    low: float | None = Field(None, serialization_alias="low95")
    high: float | None = Field(None, serialization_alias="high95")
    n: int
    values: tuple[float, ...] = ()
    """The values averaged, in the order in which they came in."""

    @property
    def is_pair(self) -> bool:
        """True for two values, which say more than an interval of one degree of freedom."""
        return self.n == 2 and len(self.values) == 2


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, standard deviation (n - 1) and Student's t interval; None for no values.

    The interval is for the mean of seeds like these, and assumes that they scatter normally.
    """
    if not values:
        return None
    import numpy as np

    mean, plain = float(np.mean(values)), tuple(map(float, values))
    if len(values) == 1:
        return Estimate(mean=mean, n=1, values=plain)
    sd = float(np.std(values, ddof=1))
    half = half_width(sd, len(values))
    return Estimate(mean=mean, sd=sd, low=mean - half, high=mean + half, n=len(values), values=plain)


def half_width(sd: float, n: int, alpha: float = 0.05) -> float:
    """Half of the 1 - alpha interval of the mean of n values with this standard deviation (Student's t)."""
    import scipy

    quantile = float(scipy.special.stdtrit(n - 1, 1 - alpha / 2))
    return quantile * sd / math.sqrt(n)


class Aggregate(DocumentModel):
    """Runs of one norm at one setting, aggregated over seeds; accuracies are fractions, seconds those of one run.

    Where one of them diverged there is no accuracy and no loss: a mean of the others would flatter the norm.
    """

    norm: str
    parameters: int
    lr: float
    weight_decay: float
    tuned: bool | None = None
    """True if a search for this norm found its settings; None if that is not known of every run."""
    train_accuracy: Estimate | None = None
    train_loss: Estimate | None = None
    validation_accuracy: Estimate | None = None
    test_accuracy: Estimate | None = None
    test_loss: Estimate | None = None
    seconds: Estimate | None = None
    runs: int = 1
    finished: int = 0
    """Number of runs that are done, which the figures are over."""
    diverged: int = 0
    """Number of runs that ended because they were no longer finite."""
    problems: tuple[str, ...] = ()
    """A line for each run that diverged or failed."""


def aggregate_runs(results: Iterable[RunResult]) -> list[Aggregate]:
    """Aggregate runs by norm and setting, in the order in which these first appear."""
    return [_aggregate(runs) for runs in group_by_setting(results).values()]


def group_by_setting(results: Iterable[RunResult]) -> dict[tuple[str, float, float], list[RunResult]]:
    """Group runs by norm, learning rate and weight decay, in the order in which these first appear."""
    groups: dict[tuple[str, float, float], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.norm, result.lr, result.weight_decay), []).append(result)
    return groups


def _aggregate(runs: list[RunResult]) -> Aggregate:
    done = [run for run in runs if run.status == "done"]
    diverged = sum(run.status == "diverged" for run in runs)

    def over_seeds(name: str) -> Estimate | None:
        values = [getattr(run, name) for run in done]
        return estimate([value for value in values if value is not None])

    def score(name: str) -> Estimate | None:
        return None if diverged else over_seeds(name)

    tuned = [run.tuned for run in runs]
    return Aggregate(
        norm=runs[0].norm,
        parameters=runs[0].parameters,
        lr=runs[0].lr,
        weight_decay=runs[0].weight_decay,
        tuned=False if False in tuned else None if None in tuned else True,
        train_accuracy=score("train_accuracy"),
        train_loss=score("train_loss"),
        validation_accuracy=score("validation_accuracy"),
        test_accuracy=score("test_accuracy"),
        test_loss=score("test_loss"),
        seconds=over_seeds("seconds"),
        runs=len(runs),
        finished=len(done),
        diverged=diverged,
        problems=tuple(f"seed {run.seed} {run.status}: {run.problem}" for run in runs if run.status != "done"),
    )


def best_settings(rows: Iterable[Aggregate]) -> dict[str, Aggregate]:
    """Select for every norm the row with the highest validation accuracy: the outcome of a search.

    A setting at which a run diverged has no accuracy, and is never the best one.
    """
    best: dict[str, tuple[float, Aggregate]] = {}
    for row in rows:
        accuracy = row.validation_accuracy.mean if row.validation_accuracy else None
        if accuracy is not None and (row.norm not in best or accuracy > best[row.norm][0]):
            best[row.norm] = (accuracy, row)
    return {norm: row for norm, (_, row) in best.items()}
