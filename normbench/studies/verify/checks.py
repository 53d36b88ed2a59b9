"""What one comparison says, and what they say together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from normbench.reference import Array

Precision = Literal["float32", "float64"]
Quantity = Literal["forward", "input gradient", "parameter gradients", "buffers"]
QUANTITIES: tuple[Quantity, ...] = ("forward", "input gradient", "parameter gradients", "buffers")
Verdict = Literal["as defined", "not as defined", "no reference definition"]
ROUNDING: dict[Precision, float] = {"float32": 2.0**-24, "float64": 2.0**-53}
"""u: the largest relative error of one rounding."""
ELSEWHERE = 20
"""Roundings on the way from x to a result outside of its sums: squares, roots, quotients, products, and casts."""


@dataclass(frozen=True)
class Errors:
    """How far an array is from what is expected; see `Check`."""

    error: float
    relative: float
    condition: float
    got: float
    expected: float
    index: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """One array of a module against the oracle's."""

    precision: Precision
    kind: str
    """Of the case."""
    layout: str
    where: str
    """Kind, shape, precision, memory layout, mode and step, in words."""
    quantity: Quantity
    error: float
    """The largest, relative to the magnitude of the terms that the result is made of."""
    bound: float
    relative: float
    """The largest, relative to the largest value of the result; infinite if that is all 0 and the error is not."""
    condition: float = 1.0
    """The largest magnitude of the terms, relative to the largest value of the result."""
    array: str = "y"
    """y, dL/dx, dL/d and a parameter's name, or the name of a buffer."""
    index: tuple[int, ...] = ()
    """Of the worst value in the array; empty for a derivative along a direction, which is a single number."""
    got: float = 0.0
    expected: float = 0.0
    """At the worst value."""

    @property
    def share(self) -> float:
        """How much of the bound is used up."""
        if self.error == 0 or self.bound == 0:
            return 0.0 if self.error == 0 else np.inf
        return self.error / self.bound

    @property
    def passed(self) -> bool:
        """NaN fails."""
        return self.error <= self.bound

    @property
    def decides(self) -> bool:
        """Whether the bound is below the result itself: where terms cancel too far, any result is within it."""
        return self.bound * self.condition < 1


@dataclass(frozen=True)
class Verified:
    """One norm, with every comparison."""

    name: str
    cases: int
    refused: int
    """Inputs that the module must raise on, and did."""
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    """Inputs that it raised on and must not, or the other way round; a sentence each."""
    notes: tuple[str, ...] = ()
    """What else there is to say of a failure."""
    not_compared: tuple[str, ...] = ()
    """Buffers, and initial values, that the definition says nothing of."""
    not_built: tuple[int, ...] = ()
    """Numbers of channels that the norm cannot be built for, as groups may not divide them."""
    defined: bool = True
    """Whether there is a definition to compare with."""

    @property
    def passed(self) -> bool:
        """Whether nothing is out of bounds."""
        return not self.problems and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        """All of it in one phrase."""
        if not self.defined:
            return "no reference definition"
        return "as defined" if self.passed else "not as defined"

    def of(self, precision: Precision, quantity: Quantity | None = None, kind: str | None = None) -> list[Check]:
        """The comparisons in one precision, of one quantity, on one kind of input."""
        return [
            check
            for check in self.checks
            if check.precision == precision and quantity in (None, check.quantity) and kind in (None, check.kind)
        ]


def bound_of(precision: Precision, summed: int, steps: int = 1) -> float:
    """The most that rounding can explain, relative to the terms: k u for k roundings between x and a result.

    A sum of m values in any order has m - 1 roundings on the longest way through it, and no result of a norm lies
    behind more than three sums: a mean, then a variance or a mean of products, then a gradient's sum. Nothing in it is
    taken from an observed error. It is the worst case, where every rounding goes the same way; errors that go either
    way stay well below it (Higham 2002, section 3.1).

    Args:
        precision: Of the module.
        summed: m: values in the longest sum.
        steps: Training steps that the result has gone through.
    """
    return (3 * summed + ELSEWHERE) * steps * ROUNDING[precision]


def compare(found: Array, expected: Array, terms: Array | float) -> Errors:
    """Errors relative to the terms, value by value, and relative to the largest value expected."""
    error = np.abs(found - expected)
    largest, largest_error, largest_term = np.float64(_largest(expected)), error.max(), np.max(terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_terms = np.divide(error, terms, out=np.zeros_like(error), where=error != 0)
        relative = largest_error / largest if largest_error != 0 else 0.0
        condition = largest_term / largest if largest_term != 0 else 1.0
    place = np.unravel_index(int(np.argmax(by_terms)), by_terms.shape)  # argmax takes NaN for the largest
    return Errors(
        error=float(by_terms[place]),
        relative=float(relative),
        condition=float(condition),
        got=float(found[place]),
        expected=float(expected[place]),
        index=tuple(map(int, place)),
    )


def _largest(values: Array) -> float:
    """The largest magnitude, without an array of magnitudes; NaN is above all."""
    return float(np.maximum(values.max(), -values.min()))


def badness(check: Check) -> float:
    """How much of its bound a comparison uses up; NaN is worse than anything."""
    return np.inf if np.isnan(check.share) else check.share


def worst(checks: Iterable[Check]) -> Check | None:
    """The one that uses up most of its bound."""
    return max(checks, key=badness, default=None)
