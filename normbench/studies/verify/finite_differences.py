"""The slope of a function by finite differences, and how well these know it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from normbench.reference import Array

STEPS = range(24)
"""Each half of the one before: from a tenth of the point's size to about its 10^-8."""
FEW_STEPS = range(9, 13)
"""Those that serve a smooth function best, for functions that take long."""
SAFETY = 10
"""How far an estimate of an error may be off; the estimates below are of the right order, not bounds."""


@dataclass(frozen=True)
class Slope:
    """A slope along a direction, and the largest error that the differences can have."""

    value: float
    uncertainty: float


def slope(
    loss: Callable[[Array], float], at: Array, along: Array, noise: float, halvings: Sequence[int] = STEPS
) -> Slope:
    """The derivative of a function at a point along a direction.

    Central differences, extrapolated from two steps so that their error falls with the fourth power of the step
    (Richardson 1911). Too large a step truncates and too small a one rounds: of all steps that one counts whose answer
    differs by the least share from the next two, and its error is taken as that difference and the rounding of the
    values that are subtracted.

    Args:
        loss: From an array like `at` to a number.
        at: The point.
        along: The direction, like `at`.
        noise: How far rounding may take a value of the function from the true one.
        halvings: How often a tenth of the point's size is halved, step by step.
    """
    largest = 0.1 * (float(np.abs(at).max()) or 1.0) / float(np.abs(along).max())
    steps = [largest * 0.5**index for index in halvings]
    differences = [(loss(at + step * along) - loss(at - step * along)) / (2 * step) for step in steps]
    better = [(4 * near - far) / 3 for far, near in pairwise(differences)]
    apart = [
        max(abs(one - two), abs(two - three)) for one, two, three in zip(better, better[1:], better[2:], strict=False)
    ]
    best = int(np.argmin([_share(off, value) for off, value in zip(apart, better, strict=False)]))
    return Slope(better[best], SAFETY * (apart[best] + noise / steps[best + 1]))


def _share(off: float, value: float) -> float:
    """A difference as a share of the slope: where a step is far too large, both are small."""
    if off == 0:
        return 0.0
    return off / abs(value) if value else np.inf
