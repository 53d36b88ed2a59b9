"""A mean over seeds, and how far it can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # which loads scipy.stats, slow to import, when a figure first needs it


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` seeds, with standard deviation and 95 % interval where n > 1; units of what came in."""

    mean: float
    n: int
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, standard deviation (n - 1) and Student's t interval; None of no values.

    The interval is for the mean of seeds like these, and assumes that they scatter about normally.
    """
    if not values:
        return None
    mean = float(np.mean(values))
    if len(values) == 1:
        return Estimate(mean, 1)
    sd = float(np.std(values, ddof=1))
    half = float(scipy.stats.t.ppf(0.975, len(values) - 1)) * sd / len(values) ** 0.5
    return Estimate(mean, len(values), sd, mean - half, mean + half)
