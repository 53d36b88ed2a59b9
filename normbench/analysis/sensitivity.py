"""Sensitivity to learning rate or weight decay. The curves of a search, and their width."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, computed_field

from normbench.analysis.aggregate import Aggregate, DocumentModel, Estimate
from normbench.analysis.document import Chart, Line
from normbench.analysis.format import join_names

Setting = Literal["lr", "weight_decay"]

NAMES: dict[Setting, str] = {"lr": "learning rate", "weight_decay": "weight decay"}
TOLERANCE = 0.02
"""A setting suits a norm if its accuracy is at most this much, as a fraction, below that of the best one."""
LEARNED = 0.2
"""Twice chance among ten classes: below it, the width of a curve has no meaning."""


class Sensitivity(DocumentModel):
    """Validation accuracy of one norm over the values of one setting; at each value the best of the other setting."""

    norm: str
    setting: Setting
    values: tuple[float, ...]
    """In ascending order; the other fields have an entry for each."""
    accuracies: tuple[Estimate | None, ...] = Field(serialization_alias="validation_accuracy")
    """Fractions; None where a run diverged, or none was finished."""
    diverged: tuple[int, ...]
    """Number of runs that diverged."""
    runs: tuple[int, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def best(self) -> float | None:
        """Value with the highest accuracy; None if no run was finished."""
        return None if self._best_index is None else self.values[self._best_index]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def tolerated(self) -> tuple[float, ...]:
        """The best value and its neighbours whose accuracy is within `TOLERANCE` of it."""
        first = last = self._best_index
        if first is None or last is None:
            return ()
        while first > 0 and self._suits(first - 1):
            first -= 1
        while last + 1 < len(self.values) and self._suits(last + 1):
            last += 1
        return self.values[first : last + 1]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def learned(self) -> bool:
        """True if the norm is clearly above chance at its best value."""
        return self.best_accuracy is not None and self.best_accuracy.mean >= LEARNED

    @property
    def best_accuracy(self) -> Estimate | None:
        """Accuracy at the best value."""
        return None if self._best_index is None else self.accuracies[self._best_index]

    @property
    def _best_index(self) -> int | None:
        means = [accuracy.mean if accuracy else -1.0 for accuracy in self.accuracies]
        return means.index(max(means)) if max(means) >= 0 else None

    def _suits(self, index: int) -> bool:
        best, accuracy = self.best_accuracy, self.accuracies[index]
        return best is not None and accuracy is not None and accuracy.mean >= best.mean - TOLERANCE

    @property
    def factor(self) -> float:
        """Largest tolerated value over the smallest; infinite from zero, 0.0 if no run was finished."""
        if not self.tolerated:
            return 0.0
        low, high = self.tolerated[0], self.tolerated[-1]
        return high / low if low else float("inf")


def sensitivity_curves(rows: Sequence[Aggregate]) -> list[list[Sensitivity]]:
    """Curves of each setting for which a search tried several values, one per norm in the order of the rows."""
    norms = list(dict.fromkeys(row.norm for row in rows))
    curves = [
        [_sensitivity(norm, setting, [row for row in rows if row.norm == norm]) for norm in norms] for setting in NAMES
    ]
    return [of_setting for of_setting in curves if any(len(curve.values) > 1 for curve in of_setting)]


def _sensitivity(norm: str, setting: Setting, rows: Sequence[Aggregate]) -> Sensitivity:
    values = sorted({getattr(row, setting) for row in rows})
    by_value = [[row for row in rows if getattr(row, setting) == value] for value in values]
    return Sensitivity(
        norm=norm,
        setting=setting,
        values=tuple(values),
        accuracies=tuple(_best([row.validation_accuracy for row in of_value]) for of_value in by_value),
        diverged=tuple(sum(row.diverged for row in of_value) for of_value in by_value),
        runs=tuple(sum(row.runs for row in of_value) for of_value in by_value),
    )


def _best(accuracies: Sequence[Estimate | None]) -> Estimate | None:
    return max((accuracy for accuracy in accuracies if accuracy), key=lambda accuracy: accuracy.mean, default=None)


def sensitivity_charts(curves: Sequence[Sequence[Sensitivity]]) -> list[Chart]:
    """Chart each setting with the curves of all norms; values at which runs diverged are marked at the foot."""
    return [
        _chart(of_setting, best_of_others=len(curves) > 1)
        for of_setting in curves
        if any(curve.best_accuracy is not None for curve in of_setting)  # else there is no axis of accuracies
    ]


def _chart(curves: Sequence[Sensitivity], best_of_others: bool) -> Chart:
    setting = curves[0].setting
    values = sorted({value for curve in curves for value in curve.values})
    log = values[0] > 0  # zero has no logarithm: the values are then spaced evenly
    other = ", at the best of the other setting" if best_of_others else ""
    return Chart(
        name=f"sensitivity-{setting.replace('_', '-')}",
        title=f"Validation accuracy by {NAMES[setting]}{other}",
        x_label=NAMES[setting],
        y_label="validation accuracy",
        lines=tuple(_line(curve, values, log) for curve in curves),
        ticks=() if log else tuple(f"{value:g}" for value in values),
        log_x=log,
        percent=True,
    )


def _line(curve: Sensitivity, values: Sequence[float], log: bool) -> Line:
    xs = [value if log else float(values.index(value)) for value in curve.values]
    diverged = [x for x, count in zip(xs, curve.diverged, strict=True) if count]
    return Line.of_estimates(curve.norm, xs, curve.accuracies, diverged)


def sensitivity_conclusions(curves: Sequence[Sensitivity]) -> list[str]:
    """Sentences on one setting: the values that each norm tolerates, the widest range, and where runs diverged."""
    name = NAMES[curves[0].setting]
    learned = [curve for curve in curves if curve.learned]
    ranges = "; ".join(map(_range, learned))
    tolerated = [f"Within {100 * TOLERANCE:g} points of its best, by {name}: {ranges}."] if learned else []
    unlearned = [_not_learned(curve) for curve in curves if not curve.learned]
    return [*tolerated, *_widest(learned, name), *unlearned, _divergence(curves, name)]


def _range(curve: Sensitivity) -> str:
    first, last = curve.tolerated[0], curve.tolerated[-1]
    ends = [end for end, hit in (("low", first == curve.values[0]), ("high", last == curve.values[-1])) if hit]
    beyond = f", up to the {' and '.join(ends)} end of the grid" if ends else ""
    if first == last:
        return f"{curve.norm} {first:g} alone{beyond}"
    width = "" if curve.factor == float("inf") else f" (a factor of {curve.factor:.3g})"
    return f"{curve.norm} {first:g} to {last:g}{width}{beyond}"


def _widest(learned: Sequence[Sensitivity], name: str) -> list[str]:
    if len(learned) < 2:
        return []
    most = max(curve.factor for curve in learned)
    widest = [curve.norm for curve in learned if curve.factor == most]
    if len(widest) == len(learned):
        return [f"All of them tolerate as wide a range of this grid's {name}s."]
    return [f"The widest range of this grid's {name}s is tolerated by {join_names(widest)}."]


def _not_learned(curve: Sensitivity) -> str:
    best = curve.best_accuracy
    if best is None:
        return f"{curve.norm} finished its runs at no value."
    reached = f"{100 * best.mean:.1f} % at best"
    return f"{curve.norm} hardly learns at any value ({reached}), so the width of its curve has no meaning."


def _divergence(curves: Sequence[Sensitivity], name: str) -> str:
    parts = [f"{curve.norm} at {join_names(_diverged_values(curve))}" for curve in curves if any(curve.diverged)]
    return f"Diverged, by {name}: {'; '.join(parts)}." if parts else "No run diverged."


def _diverged_values(curve: Sensitivity) -> list[str]:
    """Values at which runs diverged, with the number of runs where some did not."""
    counts = zip(curve.values, curve.diverged, curve.runs, strict=True)
    return [
        f"{value:g}" + (f" ({diverged} of {runs} runs)" if diverged < runs else "")
        for value, diverged, runs in counts
        if diverged
    ]
