"""The rows of a comparison: the runs of one norm at one setting, summarized over their seeds."""

from collections.abc import Iterable
from dataclasses import dataclass

from normbench.analysis.estimates import Estimate, estimate
from normbench.runs import RunResult


@dataclass(frozen=True)
class Row:
    """The runs of one norm at one setting, over their seeds; accuracies are fractions, seconds one run's.

    Where one of them diverged there is no accuracy and no loss: a mean of the others would flatter the norm.
    """

    norm: str
    lr: float
    weight_decay: float
    parameters: int
    train_accuracy: Estimate | None
    train_loss: Estimate | None
    validation_accuracy: Estimate | None
    test_accuracy: Estimate | None
    test_loss: Estimate | None
    seconds: Estimate | None
    problems: tuple[str, ...]
    """What happened to the runs of this row that diverged or failed, a line each."""
    runs: int = 1
    diverged: int = 0
    """How many of the runs ended because they were no longer finite."""
    finished: int = 0
    """How many of the runs are done, which the figures are over."""
    tuned: bool | None = None
    """Whether a search for this norm found its settings; None where that is not known of every run."""


def summarize(results: Iterable[RunResult]) -> list[Row]:
    """One row for each norm and setting, in the order they first appear."""
    groups: dict[tuple[str, float, float], list[RunResult]] = {}
    for result in results:
        groups.setdefault((result.norm, result.lr, result.weight_decay), []).append(result)
    return [_row(runs) for runs in groups.values()]


def _row(runs: list[RunResult]) -> Row:
    done = [run for run in runs if run.status == "done"]
    diverged = sum(run.status == "diverged" for run in runs)

    def over_seeds(name: str) -> Estimate | None:
        values = [getattr(run, name) for run in done]
        return estimate([value for value in values if value is not None])

    def score(name: str) -> Estimate | None:
        return None if diverged else over_seeds(name)

    return Row(
        norm=runs[0].norm,
        lr=runs[0].lr,
        weight_decay=runs[0].weight_decay,
        parameters=runs[0].parameters,
        train_accuracy=score("train_accuracy"),
        train_loss=score("train_loss"),
        validation_accuracy=score("validation_accuracy"),
        test_accuracy=score("test_accuracy"),
        test_loss=score("test_loss"),
        seconds=over_seeds("seconds"),
        problems=tuple(f"seed {run.seed} {run.status}: {run.problem}" for run in runs if run.status != "done"),
        runs=len(runs),
        diverged=diverged,
        finished=len(done),
        tuned=_all_tuned([run.tuned for run in runs]),
    )


def _all_tuned(runs: list[bool | None]) -> bool | None:
    return False if False in runs else None if None in runs else True


def best_settings(rows: Iterable[Row]) -> dict[str, Row]:
    """For every norm the row with the highest validation accuracy: what a search has found.

    A setting at which a run diverged has no accuracy, and is never the best one.
    """
    best: dict[str, tuple[float, Row]] = {}
    for row in rows:
        accuracy = row.validation_accuracy.mean if row.validation_accuracy else None
        if accuracy is not None and (row.norm not in best or accuracy > best[row.norm][0]):
            best[row.norm] = (accuracy, row)
    return {norm: row for norm, (_, row) in best.items()}
