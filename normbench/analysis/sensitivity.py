"""How much a norm minds the learning rate, or the weight decay: the curves of a search, and their width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from normbench.analysis.aggregate import Row
from normbench.analysis.document import Chart, Line
from normbench.analysis.estimates import Estimate

Setting = Literal["lr", "weight_decay"]

NAMES: dict[Setting, str] = {"lr": "learning rate", "weight_decay": "weight decay"}
TOLERANCE = 0.02
"""A setting suits a norm if its accuracy is at most this much, as a fraction, below that of the best one."""
LEARNED = 0.2
"""Twice chance among ten classes: below it, the width of a curve says nothing."""


@dataclass(frozen=True)
class Sensitivity:
    """Validation accuracy of one norm by one setting of a search; of other settings the best at each value."""

    norm: str
    setting: Setting
    values: tuple[float, ...]
    """From small to large; the other fields have an entry for each."""
    accuracies: tuple[Estimate | None, ...]
    """Fractions; None where a run diverged, or none was finished."""
    runs: tuple[int, ...]
    diverged: tuple[int, ...]
    """How many of the runs diverged."""

    @property
    def best(self) -> int | None:
        """The place of the value with the highest accuracy."""
        means = [one.mean if one else -1.0 for one in self.accuracies]
        return means.index(max(means)) if max(means) >= 0 else None

    @property
    def learned(self) -> bool:
        """Whether the norm is clearly above chance at its best value."""
        return self.best is not None and (self.accuracies[self.best] or Estimate(0.0, 0)).mean >= LEARNED

    @property
    def tolerated(self) -> tuple[int, int] | None:
        """Places of the first and the last neighbour of the best value that are within `TOLERANCE` of it."""
        if self.best is None:
            return None
        first = last = self.best
        while first > 0 and self._suits(first - 1):
            first -= 1
        while last + 1 < len(self.values) and self._suits(last + 1):
            last += 1
        return first, last

    def _suits(self, place: int) -> bool:
        best, here = self.accuracies[self.best or 0], self.accuracies[place]
        return best is not None and here is not None and here.mean >= best.mean - TOLERANCE

    @property
    def factor(self) -> float:
        """The largest tolerated value over the smallest; infinite from zero, 0.0 if no run was finished."""
        if self.tolerated is None:
            return 0.0
        low, high = (self.values[place] for place in self.tolerated)
        return high / low if low else float("inf")


def searched(rows: Sequence[Row]) -> list[list[Sensitivity]]:
    """For each setting of which a search tried several values: the curves, norm by norm in the order of the rows."""
    norms = list(dict.fromkeys(row.norm for row in rows))
    found = [
        [_sensitivity(norm, setting, [row for row in rows if row.norm == norm]) for norm in norms] for setting in NAMES
    ]
    return [curves for curves in found if any(len(one.values) > 1 for one in curves)]


def _sensitivity(norm: str, setting: Setting, rows: Sequence[Row]) -> Sensitivity:
    values = sorted({getattr(row, setting) for row in rows})
    at = [[row for row in rows if getattr(row, setting) == value] for value in values]
    return Sensitivity(
        norm=norm,
        setting=setting,
        values=tuple(values),
        accuracies=tuple(_best([row.validation_accuracy for row in here]) for here in at),
        runs=tuple(sum(row.runs for row in here) for here in at),
        diverged=tuple(sum(row.diverged for row in here) for here in at),
    )


def _best(accuracies: Sequence[Estimate | None]) -> Estimate | None:
    return max((one for one in accuracies if one), key=lambda one: one.mean, default=None)


def sensitivity_charts(found: Sequence[Sequence[Sensitivity]]) -> list[Chart]:
    """A chart for each setting, with the curves of all norms; values at which runs diverged are marked at the foot."""
    return [_chart(curves, best_of_others=len(found) > 1) for curves in found]


def _chart(found: Sequence[Sensitivity], best_of_others: bool) -> Chart:
    setting = found[0].setting
    values = sorted({value for one in found for value in one.values})
    even = values[0] > 0  # else no logarithm: the values stand side by side
    other = ", at the best of the other setting" if best_of_others else ""
    return Chart(
        name=f"sensitivity-{setting.replace('_', '-')}",
        title=f"Validation accuracy by {NAMES[setting]}{other}",
        x_label=NAMES[setting],
        y_label="validation accuracy",
        lines=tuple(_line(one, values, even) for one in found),
        ticks=() if even else tuple(f"{value:g}" for value in values),
        log_x=even,
        percent=True,
    )


def _line(one: Sensitivity, values: Sequence[float], even: bool) -> Line:
    places = [value if even else float(values.index(value)) for value in one.values]
    lost = [place for place, count in zip(places, one.diverged, strict=True) if count]
    return Line.of_estimates(one.norm, places, one.accuracies, lost)


def sensitivity_answer(found: Sequence[Sensitivity]) -> list[str]:
    """Which values each norm tolerates, which norm tolerates most, and where runs diverged; of one setting."""
    name = NAMES[found[0].setting]
    learned = [one for one in found if one.learned]
    hardly = [_hardly(one) for one in found if not one.learned]
    ranges = "; ".join(_range(one) for one in learned)
    told = [f"Within {100 * TOLERANCE:g} points of its best, by {name}: {ranges}."] if learned else []
    return [*told, *_widest(learned, name), *hardly, _divergence(found, name)]


def _range(one: Sensitivity) -> str:
    assert one.tolerated is not None, "a norm that has learned has a best value"
    first, last = one.tolerated
    edges = [edge for edge, touched in (("low", first == 0), ("high", last == len(one.values) - 1)) if touched]
    beyond = f", up to the {' and '.join(edges)} end of the grid" if edges else ""
    if first == last:
        return f"{one.norm} {one.values[first]:g} alone{beyond}"
    width = "" if one.factor == float("inf") else f" (a factor of {one.factor:.3g})"
    return f"{one.norm} {one.values[first]:g} to {one.values[last]:g}{width}{beyond}"


def _widest(learned: Sequence[Sensitivity], name: str) -> list[str]:
    if len(learned) < 2:
        return []
    most = max(one.factor for one in learned)
    widest = [one.norm for one in learned if one.factor == most]
    if len(widest) == len(learned):
        return [f"All of them tolerate as wide a range of this grid's {name}s."]
    return [f"The widest range of this grid's {name}s is tolerated by {_and(widest)}."]


def _hardly(one: Sensitivity) -> str:
    if one.best is None:
        return f"{one.norm} finished its runs at no value."
    best = one.accuracies[one.best]
    reached = f"{100 * best.mean:.1f} %" if best else ""
    return f"{one.norm} hardly learns at any value ({reached} at best), so the width of its curve says nothing."


def _divergence(found: Sequence[Sensitivity], name: str) -> str:
    told = [f"{one.norm} at {_and(_places(one))}" for one in found if any(one.diverged)]
    return f"Diverged, by {name}: {'; '.join(told)}." if told else "No run diverged."


def _places(one: Sensitivity) -> list[str]:
    """The values at which runs diverged; how many, where some did not."""
    counted = zip(one.values, one.diverged, one.runs, strict=True)
    return [f"{value:g}" + (f" ({lost} of {of} runs)" if lost < of else "") for value, lost, of in counted if lost]


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
