"""Power of the paired t-test. With it goes the number of seeds needed to separate two norms."""

import math

from normbench.analysis.aggregate import Estimate

MOST_SEEDS = 1_000_000
"""Limit beyond which no number of seeds is named."""


def power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Probability that a two-sided paired t-test over `n` pairs finds a difference, at level `alpha`.

    `effect` is the true mean difference in units of the standard deviation of the differences.
    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), chapter 2, exact by the
    noncentral t distribution.
    """
    import scipy

    critical = scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    shift = abs(effect) * math.sqrt(n)
    # The other tail by its mirror image: SciPy 1.17's nct.cdf(-critical, ..., shift) is NaN for some large shifts.
    return float(scipy.stats.nct.sf(critical, n - 1, shift) + scipy.stats.nct.sf(critical, n - 1, -shift))


def seeds_needed(effect: float, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """Smallest number of seeds with at least the `wanted` power; None if a million are not enough."""
    import scipy

    # Near the normal approximation from below; the t-test always needs a little more.
    normal = (scipy.stats.norm.ppf(1 - alpha / 2) + scipy.stats.norm.ppf(wanted)) / abs(effect) if effect else math.inf
    if not normal**2 < MOST_SEEDS:
        return None
    seeds = max(2, math.floor(normal**2))
    while power(effect, seeds, alpha) < wanted:
        seeds += 1
    return seeds


def more_seeds(difference: Estimate, alpha: float = 0.05, wanted: float = 0.8) -> int | None:
    """Seeds to add for the `wanted` power, if the true difference and spread are the observed ones.

    None for fewer than two seeds, no scatter, or no difference. It is a guide to planning and no more: an effect
    observed over few seeds is itself uncertain, and tends to be too large where it was noticed because it was large.
    """
    if difference.n < 2 or not scatters(difference):
        return None
    needed = seeds_needed(difference.mean / (difference.sd or math.nan), alpha, wanted)
    return None if needed is None else max(needed - difference.n, 0)


def scatters(difference: Estimate) -> bool:
    """True if differences differ by more than floating-point rounding, so that they can be tested.

    Accuracies are multiples of 1 / images; equal differences of them come out unequal in the 17th digit, which a
    t-test would take for near-perfect evidence.
    """
    return difference.sd is not None and difference.sd > 1e-12
