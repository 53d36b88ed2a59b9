"""A mean over seeds, and how far it can be trusted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # which loads scipy.special, slow to import, when a figure first needs it


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` seeds, with standard deviation and 95 % interval where n > 1; units of what came in."""

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()
    """What the mean is of, in the order in which it came in."""

    @property
    def is_pair(self) -> bool:
        """Whether it is of two values, which say more than an interval of one degree of freedom."""
        return self.n == 2 and len(self.values) == 2


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, standard deviation (n - 1) and Student's t interval; None of no values.

    The interval is for the mean of seeds like these, and assumes that they scatter about normally.
    """
    if not values:
        return None
    mean, plain = float(np.mean(values)), tuple(map(float, values))
    if len(values) == 1:
        return Estimate(mean, 1, values=plain)
    sd = float(np.std(values, ddof=1))
    half = half_width(sd, len(values))
    return Estimate(mean, len(values), sd, mean - half, mean + half, plain)


def half_width(sd: float, n: int, alpha: float = 0.05) -> float:
    """Half of the 1 - alpha interval of the mean of n values with this standard deviation (Student's t)."""
    quantile = float(scipy.special.stdtrit(n - 1, 1 - alpha / 2))
    return quantile * sd / math.sqrt(n)
