"""Directional derivatives by finite differences, with their uncertainty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from normbench.reference import Array

STEPS = range(24)
"""Halvings of the step: from a tenth of the point's size to about its 10^-8."""
FEW_STEPS = range(9, 13)
"""Halvings that suit a smooth function best, for functions that are slow."""
SAFETY = 10
"""Factor on the estimated error: the estimates below are of the right order, not bounds."""


@dataclass(frozen=True)
class Derivative:
    """Directional derivative, and the largest error that the differences can have."""

    value: float
    uncertainty: float


def directional_derivative(
    loss: Callable[[Array], float], at: Array, along: Array, noise: float, halvings: Sequence[int] = STEPS
) -> Derivative:
    """Estimate the derivative of a function at a point along a direction.

    Central differences, extrapolated from two steps so that their error falls with the fourth power of the step
    (Richardson 1911). Too large a step has a truncation error, too small a one a rounding error: the step is chosen
    whose estimate has the smallest relative difference to the next two. Its error is estimated by that difference
    plus the rounding of the values that are subtracted.

    Args:
        loss: Function of an array like `at`.
        at: Point.
        along: Direction, of the shape of `at`.
        noise: Largest rounding error of a value of the function.
        halvings: Numbers of halvings of the first step, a tenth of the point's size.
    """
    largest = 0.1 * (float(np.abs(at).max()) or 1.0) / float(np.abs(along).max())
    steps = [largest * 0.5**index for index in halvings]
    differences = [(loss(at + step * along) - loss(at - step * along)) / (2 * step) for step in steps]
    estimates = [(4 * near - far) / 3 for far, near in pairwise(differences)]
    triples = zip(estimates, estimates[1:], estimates[2:], strict=False)
    changes = [max(abs(a - b), abs(b - c)) for a, b, c in triples]
    best = int(np.argmin([_relative(change, value) for change, value in zip(changes, estimates, strict=False)]))
    return Derivative(estimates[best], SAFETY * (changes[best] + noise / steps[best + 1]))


def _relative(change: float, value: float) -> float:
    """Relative change of the estimate: with a step that is far too large, both are small."""
    if change == 0:
        return 0.0
    return change / abs(value) if value else np.inf
