"""Comparisons of a module with its definition: errors, their bounds, and the verdict on a norm."""

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
"""Unit roundoff u: the largest relative error of one rounding."""
OTHER_ROUNDINGS = 20
"""Roundings between x and a result outside of its sums: squares, roots, quotients, products, and casts."""


@dataclass(frozen=True)
class Errors:
    """Distance of an array from the expected one; see `Check` for the fields."""

    error: float
    relative: float
    condition: float
    got: float
    expected: float
    index: tuple[int, ...]


@dataclass(frozen=True)
class Check:
    """Comparison of one array of a module with the expected one."""

    precision: Precision
    kind: str
    """Kind of the case."""
    layout: str
    where: str
    """Description of kind, shape, precision, memory layout, mode and step."""
    quantity: Quantity
    error: float
    """Largest error, relative to the magnitude of the terms that the result is made of."""
    bound: float
    relative: float
    """Largest error, relative to the largest value of the result; infinite if that is all 0 and the error is not."""
    condition: float = 1.0
    """Largest magnitude of the terms, relative to the largest value of the result."""
    array: str = "y"
    """Name of the array: y, dL/dx, dL/d and a parameter, or a buffer."""
    index: tuple[int, ...] = ()
    """Index of the worst value in the array; empty for a directional derivative, a single number."""
    got: float = 0.0
    """Worst value."""
    expected: float = 0.0

    @property
    def share(self) -> float:
        """Error divided by the bound."""
        if self.error == 0 or self.bound == 0:
            return 0.0 if self.error == 0 else np.inf
        return self.error / self.bound

    @property
    def passed(self) -> bool:
        """True if the error is within the bound; NaN is not."""
        return self.error <= self.bound

    @property
    def decides(self) -> bool:
        """True if the bound is below the result itself: if terms cancel too far, any result is within it."""
        return self.bound * self.condition < 1


@dataclass(frozen=True)
class Verification:
    """Verification of one norm: every comparison."""

    name: str
    cases: int
    refused: int
    """Number of inputs on which the module must raise an error, and did."""
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    """Sentences on errors that it raised and must not, on those that it must raise and did not, and on its state."""
    notes: tuple[str, ...] = ()
    """Sentences that explain a failure."""
    not_compared: tuple[str, ...] = ()
    """Buffers and initial values that the definition does not specify."""
    not_built: tuple[int, ...] = ()
    """Numbers of channels that the norm cannot be built for, such as those that the groups do not divide."""
    defined: bool = True
    """False if there is no definition to compare with."""

    @property
    def passed(self) -> bool:
        """True if nothing is out of bounds."""
        return not self.problems and all(check.passed for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        """Outcome in one phrase."""
        if not self.defined:
            return "no reference definition"
        return "as defined" if self.passed else "not as defined"

    def of(self, precision: Precision, quantity: Quantity | None = None, kind: str | None = None) -> list[Check]:
        """Select the comparisons in one precision, of one quantity, on one kind of input."""
        return [
            check
            for check in self.checks
            if check.precision == precision and quantity in (None, check.quantity) and kind in (None, check.kind)
        ]


def bound_of(precision: Precision, summed: int, steps: int = 1) -> float:
    """Compute the largest error that rounding can explain, relative to the terms: k u for k roundings.

    A sum of m values in any order has at most m - 1 roundings in sequence, and at most three sums lie between x and a
    result: a mean, then a variance or a mean of products, then the sum of a gradient. No observed error enters it. It
    is the worst case, in which all roundings have one sign; errors of both signs stay well below it (Higham 2002,
    section 3.1).

    Args:
        precision: Precision of the module.
        summed: Number of values in the longest sum, m.
        steps: Number of training steps behind the result.
    """
    return (3 * summed + OTHER_ROUNDINGS) * steps * ROUNDING[precision]


def compare(got: Array, expected: Array, terms: Array | float) -> Errors:
    """Compute errors relative to the terms, value by value, and relative to the largest value expected."""
    error = np.abs(got - expected)
    largest, largest_error, largest_term = np.float64(_largest(expected)), error.max(), np.max(terms)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_terms = np.divide(error, terms, out=np.zeros_like(error), where=error != 0)
        relative = largest_error / largest if largest_error != 0 else 0.0
        condition = largest_term / largest if largest_term != 0 else 1.0
    index = np.unravel_index(int(np.argmax(by_terms)), by_terms.shape)  # argmax takes NaN for the largest
    return Errors(
        error=float(by_terms[index]),
        relative=float(relative),
        condition=float(condition),
        got=float(got[index]),
        expected=float(expected[index]),
        index=tuple(map(int, index)),
    )


def _largest(values: Array) -> float:
    """Return the largest magnitude without an array of magnitudes; NaN exceeds all."""
    return float(np.maximum(values.max(), -values.min()))


def severity(check: Check) -> float:
    """Return the share of the bound for ranking; NaN is worse than anything."""
    return np.inf if np.isnan(check.share) else check.share


def worst(checks: Iterable[Check]) -> Check | None:
    """Find the comparison with the largest share of its bound."""
    return max(checks, key=severity, default=None)
