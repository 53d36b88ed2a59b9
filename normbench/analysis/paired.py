"""Norms against each other in pairs: equal seeds have equal batches, so their common luck cancels.

One family of tests is judged together: the pairs of all norms of a comparison. A table of differences to a control
and the verdict on the leading norm are taken from it alike, so that no two of them disagree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy  # which loads scipy.special, slow to import, when a figure first needs it

from normbench.analysis.estimates import Estimate, estimate, half_width
from normbench.analysis.power import more_seeds, scatters
from normbench.errors import unknown
from normbench.runs import RunResult

ALPHA = 0.05
MARGIN = 0.005
"""Differences of accuracy below this (a fraction: half a percentage point) are of no account, unless told otherwise."""

Accuracies = Mapping[str, Mapping[int, float | None]]
"""By name, then by seed, as fractions; None is a run that diverged, which is worse than any accuracy."""


@dataclass(frozen=True)
class Superiority:
    """P(A > B), a fraction, with its exact 95 % interval."""

    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Test accuracy of `norm` minus that of `control`, as fractions, over the seeds that both were trained with."""

    norm: str
    control: str
    seeds: tuple[int, ...]
    difference: Estimate | None
    """Mean and spread of the differences, and the interval of this mean alone; None where a run diverged."""
    better: Superiority | None
    diverged: int = 0
    """Seeds on which one of the two diverged, or both."""
    p: float | None = None
    """Two-sided paired t-test; None of fewer than two seeds, or of differences that do not scatter."""
    p_holm: float | None = None
    """`p`, adjusted for all pairs of the family (Holm)."""
    low: float | None = None
    """Lower end of the interval that holds for all pairs of the family together (Bonferroni); None as `p` is."""
    high: float | None = None
    p_alike: float | None = None
    """p of the two one-sided tests that the difference is less than `margin` either way, adjusted as `p_holm` is."""
    margin: float = MARGIN
    tests: int = 1
    """Pairs of the family that could be tested."""

    @property
    def separated(self) -> bool:
        """Whether the norm differs from the control at level 0.05, over all pairs of the family together."""
        return self.p_holm is not None and self.p_holm < ALPHA

    @property
    def alike(self) -> bool:
        """Whether the two differ by less than the margin, at level 0.05 over all pairs of the family together."""
        return self.p_alike is not None and self.p_alike < ALPHA

    @property
    def has_no_spread(self) -> bool:
        """Whether the difference is the same on every one of several seeds, so that no test can judge it."""
        return self.difference is not None and self.difference.n > 1 and not scatters(self.difference)

    @property
    def more_seeds(self) -> int | None:
        """Seeds to add for 80 % power, were the observed difference the true one; None if separated or untold.

        At the level that the strictest step of Holm has: a norm that is not separated then always needs at least one
        more, and adding them gives the promised power whatever the other pairs do. See `power.more_seeds`: a plan
        from few seeds is itself noise.
        """
        if self.difference is None or self.separated:
            return None
        return more_seeds(self.difference, ALPHA / self.tests)


def paired_differences(
    results: Iterable[RunResult], control: str | None = None, margin: float = MARGIN
) -> list[PairedDifference]:
    """Every other norm against the control: the norm of that name, else the first one that appears.

    Each norm has one run a seed; runs that failed, or left the test images unread, make no pair. The tests are
    adjusted for the pairs of all norms, not only for those with the control.

    Raises:
        UsageError: No run has the control norm.
    """
    accuracies = by_norm_and_seed(results)
    control = control or next(iter(accuracies), "")
    if control not in accuracies:
        raise unknown("control norm", control, accuracies)
    return against(control, judge_all(accuracies, margin))


def judge_all(accuracies: Accuracies, margin: float = MARGIN) -> list[PairedDifference]:
    """The pairs of all norms, judged together; the later norm of each against the earlier one."""
    return judge_pairs([(b, a) for a, b in combinations(accuracies, 2)], accuracies, margin)


def against(control: str, judged: Iterable[PairedDifference]) -> list[PairedDifference]:
    """Of pairs that were judged together those with the control, each turned so that the control comes second."""
    turned = (one if one.control == control else _swapped(one) for one in judged if control in (one.norm, one.control))
    return list(turned)


def judge_pairs(
    pairs: Sequence[tuple[str, str]], accuracies: Accuracies, margin: float = MARGIN
) -> list[PairedDifference]:
    """The first of each pair against the second, over the seeds that both have; adjusted for all pairs together.

    Args:
        pairs: Names, each the key of its accuracies.
        accuracies: By name, then by seed.
        margin: The difference (a fraction) within which two norms may be called alike.
    """
    return _judged([_pair(norm, control, accuracies) for norm, control in pairs], margin)


def by_norm_and_seed(results: Iterable[RunResult]) -> dict[str, dict[int, float | None]]:
    """Test accuracies; None of a run that diverged, nothing of one that failed or did not read the test images."""
    accuracies: dict[str, dict[int, float | None]] = {}
    for result in results:
        of_norm = accuracies.setdefault(result.norm, {})
        if result.status == "diverged" or (result.status == "done" and result.test_accuracy is not None):
            assert result.seed not in of_norm, "a norm has one run a seed"
            of_norm[result.seed] = result.test_accuracy
    return accuracies


def _pair(norm: str, control: str, accuracies: Accuracies) -> PairedDifference:
    seeds = tuple(sorted(accuracies[norm].keys() & accuracies[control].keys()))
    both = [(accuracies[norm][seed], accuracies[control][seed]) for seed in seeds]
    finished = [(ours, theirs) for ours, theirs in both if ours is not None and theirs is not None]
    diverged = len(both) - len(finished)
    difference = None if diverged else estimate([ours - theirs for ours, theirs in finished])
    # A run that diverged is below every accuracy, and level with another one that diverged.
    ranks = [tuple(-1.0 if value is None else value for value in pair) for pair in both]
    better = probability_of_superiority([ours for ours, _ in ranks], [theirs for _, theirs in ranks])
    return PairedDifference(norm, control, seeds, difference, better, diverged, _p(difference, 0.0))


def _p(difference: Estimate | None, shift: float) -> float | None:
    """Two-sided t-test of a mean difference against `shift`; None where differences do not scatter."""
    if difference is None or not difference.sd or not scatters(difference):
        return None
    t = (difference.mean - shift) / (difference.sd / difference.n**0.5)
    return float(2 * scipy.special.stdtr(difference.n - 1, -abs(t)))


def _p_alike(difference: Estimate, margin: float) -> float:
    """The larger p of the two one-sided tests that the mean is above -margin and below margin.

    Source: Schuirmann, A comparison of the two one-sided tests procedure and the power approach, J. Pharmacokinet.
    Biopharm. 15 (1987), 657-680.
    """
    error = (difference.sd or 0.0) / difference.n**0.5
    return float(scipy.special.stdtr(difference.n - 1, (abs(difference.mean) - margin) / error))


def _judged(found: list[PairedDifference], margin: float) -> list[PairedDifference]:
    """The differences with what depends on how many there are: adjusted p, and intervals that hold together."""
    tested = [place for place, one in enumerate(found) if one.p is not None]
    differences = [found[place].difference for place in tested]
    adjusted = holm([found[place].p or 0.0 for place in tested])
    alike = holm([_p_alike(one, margin) for one in differences if one is not None])
    judged = [replace(one, margin=margin, tests=max(1, len(tested))) for one in found]
    for place, difference, p, p_alike in zip(tested, differences, adjusted, alike, strict=True):
        assert difference is not None, "only a difference is tested"
        half = half_width(difference.sd or 0.0, difference.n, ALPHA / len(tested))
        low, high = difference.mean - half, difference.mean + half
        judged[place] = replace(judged[place], p_holm=p, p_alike=p_alike, low=low, high=high)
    return judged


def _swapped(one: PairedDifference) -> PairedDifference:
    """The same pair seen from the other side; what was judged stays judged."""
    difference, better = one.difference, one.better
    return replace(
        one,
        norm=one.control,
        control=one.norm,
        difference=difference and estimate([-value for value in difference.values]),
        better=better and Superiority(1 - better.probability, 1 - better.high, 1 - better.low),
        low=None if one.high is None else -one.high,
        high=None if one.low is None else -one.low,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted so that the chance of any false finding among them stays at the level.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979), 65-70.
    SciPy's `false_discovery_control` answers another question (Benjamini and Hochberg).
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def probability_of_superiority(ours: Sequence[float], theirs: Sequence[float]) -> Superiority | None:
    """P(A > B): how often A beats B on one seed, ties counting half; None of no pairs.

    The interval is exact (Clopper and Pearson, Biometrika 26 (1934), 404-413): three wins of three say little, and
    the bootstrap would say nothing. Ties are counted as losses for its lower end and as wins for its upper one, so
    that it holds whatever they would have become.

    Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021), arXiv:2103.03098.
    """
    if not ours:
        return None
    n = len(ours)
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    ties = sum(a == b for a, b in zip(ours, theirs, strict=True))
    least, most = wins, wins + ties
    low = float(scipy.special.betaincinv(least, n - least + 1, ALPHA / 2)) if least else 0.0
    high = float(scipy.special.betaincinv(most + 1, n - most, 1 - ALPHA / 2)) if most < n else 1.0
    return Superiority((wins + ties / 2) / n, low, high)
