"""Paired differences between norms: runs that share a seed see equal batches, so their common noise cancels.

All pairs of norms of a comparison form one family of tests. The table of differences to a control and the ranking are
both taken from that family, so that no two of them disagree.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from pydantic import Field, computed_field

from normbench.analysis.aggregate import DocumentModel, Estimate, estimate, half_width
from normbench.analysis.power import more_seeds, scatters
from normbench.errors import unknown
from normbench.runs import RunResult

ALPHA = 0.05
MARGIN = 0.005
"""Default margin of equivalence: differences of accuracy below it (half a percentage point) do not matter."""

Accuracies = Mapping[str, Mapping[int, float | None]]
"""By name, then by seed, as fractions; None is a run that diverged, which is worse than any accuracy."""


class Superiority(DocumentModel):
    """P(A > B), a fraction, with its exact 95 % interval."""

    probability: float
    low: float = Field(serialization_alias="low95")
    high: float = Field(serialization_alias="high95")


class PairedDifference(DocumentModel):
    """Test accuracy of `norm` minus that of `control`, as fractions, over the seeds that both were trained with."""

    norm: str
    control: str
    seeds: tuple[int, ...]
    difference: Estimate | None = Field(serialization_alias="test_accuracy")
    """Mean and spread of the differences, and the interval of this mean alone; None where a run diverged."""
    p: float | None = None
    """Two-sided paired t-test; None for fewer than two seeds, or for differences that do not scatter."""
    p_holm: float | None = None
    """`p`, adjusted for all pairs of the family (Holm)."""
    tests: int = 1
    """Number of pairs of the family that could be tested."""
    low: float | None = Field(None, serialization_alias="joint_low95")
    """Lower end of the interval that holds for all pairs of the family together (Bonferroni); None where `p` is."""
    high: float | None = Field(None, serialization_alias="joint_high95")
    better: Superiority | None = Field(serialization_alias="p_better")
    margin: float = MARGIN
    p_alike: float | None = None
    """p of the two one-sided tests that the difference is less than `margin` either way, adjusted as `p_holm` is."""
    diverged: int = 0
    """Number of seeds on which at least one of the two diverged."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def separated(self) -> bool:
        """True if the norm differs from the control at level 0.05, over all pairs of the family together."""
        return self.p_holm is not None and self.p_holm < ALPHA

    @computed_field  # type: ignore[prop-decorator]
    @property
    def alike(self) -> bool:
        """True if the two differ by less than the margin, at level 0.05 over all pairs of the family together."""
        return self.p_alike is not None and self.p_alike < ALPHA

    @property
    def has_no_spread(self) -> bool:
        """True if the difference is the same on every one of several seeds, so that it cannot be tested."""
        return self.difference is not None and self.difference.n > 1 and not scatters(self.difference)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def verdict(self) -> str:
        """Outcome of the tests in one or two words, such as `separated`, `alike` or `undecided`."""
        if self.diverged:
            return "diverged"
        if self.difference is None:
            return "no common seed"
        if self.difference.n == 1:
            return "one seed"
        if self.has_no_spread:
            return "no spread"
        if self.alike:
            return "separated, alike" if self.separated else "alike"
        return "separated" if self.separated else "undecided"

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def more_seeds(self) -> int | None:
        """Seeds to add for 80 % power, if the observed difference is the true one; None if separated or unknown.

        At the level of the strictest step of Holm: a norm that is not separated then always needs at least one more,
        and adding them gives the promised power whatever the other pairs do. See `power.more_seeds`: a plan from few
        seeds is itself noise.
        """
        if self.difference is None or self.separated:
            return None
        return more_seeds(self.difference, ALPHA / self.tests)


def paired_differences(
    results: Iterable[RunResult], control: str | None = None, margin: float = MARGIN
) -> list[PairedDifference]:
    """Compare every other norm with the control: the norm of that name, else the first one that appears.

    Each norm has one run per seed; runs that failed, or left the test images unread, make no pair. The tests are
    adjusted for the pairs of all norms, not only for those with the control.

    Raises:
        UsageError: No run has the control norm.
    """
    accuracies = by_norm_and_seed(results)
    control = control or next(iter(accuracies), "")
    if control not in accuracies:
        raise unknown("control norm", control, accuracies)
    return versus(control, compare_all_pairs(accuracies, margin))


def compare_all_pairs(accuracies: Accuracies, margin: float = MARGIN) -> list[PairedDifference]:
    """Compare all pairs of norms as one family; the later norm of each pair minus the earlier one."""
    return compare_pairs([(b, a) for a, b in combinations(accuracies, 2)], accuracies, margin)


def versus(control: str, pairs: Iterable[PairedDifference]) -> list[PairedDifference]:
    """Select the pairs of a family that include the control, each turned so that the control comes second."""
    return [
        pair if pair.control == control else _swapped(pair) for pair in pairs if control in (pair.norm, pair.control)
    ]


def compare_pairs(
    pairs: Sequence[tuple[str, str]], accuracies: Accuracies, margin: float = MARGIN
) -> list[PairedDifference]:
    """Compare the first of each pair with the second, over the seeds that both have; one family of tests.

    Args:
        pairs: Names, each the key of its accuracies.
        accuracies: By name, then by seed.
        margin: Difference (a fraction) within which two norms may be called alike.
    """
    return _adjusted([_pair(norm, control, accuracies) for norm, control in pairs], margin)


def by_norm_and_seed(results: Iterable[RunResult]) -> dict[str, dict[int, float | None]]:
    """Collect test accuracies; None for a run that diverged, no entry for one that failed or read no test images."""
    accuracies: dict[str, dict[int, float | None]] = {}
    for result in results:
        of_norm = accuracies.setdefault(result.norm, {})
        if result.status == "diverged" or (result.status == "done" and result.test_accuracy is not None):
            assert result.seed not in of_norm, "a norm has one run per seed"
            of_norm[result.seed] = result.test_accuracy
    return accuracies


def _pair(norm: str, control: str, accuracies: Accuracies) -> PairedDifference:
    seeds = tuple(sorted(accuracies[norm].keys() & accuracies[control].keys()))
    both = [(accuracies[norm][seed], accuracies[control][seed]) for seed in seeds]
    finished = [(ours, theirs) for ours, theirs in both if ours is not None and theirs is not None]
    diverged = len(both) - len(finished)
    difference = None if diverged else estimate([ours - theirs for ours, theirs in finished])
    # A run that diverged ranks below every accuracy, and ties with another one that diverged.
    ranks = [tuple(-1.0 if value is None else value for value in pair) for pair in both]
    better = probability_of_superiority([ours for ours, _ in ranks], [theirs for _, theirs in ranks])
    return PairedDifference(
        norm=norm, control=control, seeds=seeds, difference=difference, p=_p(difference), better=better,
        diverged=diverged,
    )  # fmt: skip


def _p(difference: Estimate | None) -> float | None:
    """Two-sided t-test of a mean difference against zero; None where differences do not scatter."""
    if difference is None or not difference.sd or not scatters(difference):
        return None
    import scipy

    t = difference.mean / (difference.sd / difference.n**0.5)
    return float(2 * scipy.special.stdtr(difference.n - 1, -abs(t)))


def _p_alike(difference: Estimate, margin: float) -> float:
    """The larger p of the two one-sided tests that the mean is above -margin and below margin.

    Source: Schuirmann, A comparison of the two one-sided tests procedure and the power approach, J. Pharmacokinet.
    Biopharm. 15 (1987), 657-680.
    """
    import scipy

    error = (difference.sd or 0.0) / difference.n**0.5
    return float(scipy.special.stdtr(difference.n - 1, (abs(difference.mean) - margin) / error))


def _adjusted(pairs: list[PairedDifference], margin: float) -> list[PairedDifference]:
    """Fill in the fields that depend on the size of the family: adjusted p-values and joint intervals."""
    tested = [index for index, pair in enumerate(pairs) if pair.p is not None]
    differences = [pairs[index].difference for index in tested]
    p_holm = holm([pairs[index].p or 0.0 for index in tested])
    p_alike = holm([_p_alike(difference, margin) for difference in differences if difference is not None])
    adjusted = [pair.model_copy(update={"margin": margin, "tests": max(1, len(tested))}) for pair in pairs]
    for index, difference, p, alike in zip(tested, differences, p_holm, p_alike, strict=True):
        assert difference is not None, "only a difference is tested"
        half = half_width(difference.sd or 0.0, difference.n, ALPHA / len(tested))
        joint = {"low": difference.mean - half, "high": difference.mean + half}
        adjusted[index] = adjusted[index].model_copy(update={"p_holm": p, "p_alike": alike, **joint})
    return adjusted


def _swapped(pair: PairedDifference) -> PairedDifference:
    """Reverse a pair; the outcome of its tests stays the same."""
    difference, better = pair.difference, pair.better
    return pair.model_copy(
        update={
            "norm": pair.control,
            "control": pair.norm,
            "difference": difference and estimate([-value for value in difference.values]),
            "better": better
            and Superiority(probability=1 - better.probability, low=1 - better.high, high=1 - better.low),
            "low": None if pair.high is None else -pair.high,
            "high": None if pair.low is None else -pair.low,
        }
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the probability of any false finding among them stays at the level.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979), 65-70.
    SciPy's `false_discovery_control` answers another question (Benjamini and Hochberg).
    """
    import numpy as np

    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def probability_of_superiority(ours: Sequence[float], theirs: Sequence[float]) -> Superiority | None:
    """Estimate P(A > B), the probability that A beats B on one seed, ties counting half; None for no pairs.

    The interval is exact (Clopper and Pearson, Biometrika 26 (1934), 404-413): three wins of three say little, and
    the bootstrap would say nothing. Ties count as losses for its lower end and as wins for its upper one, so that it
    holds whatever they would have become.

    Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021), arXiv:2103.03098.
    """
    if not ours:
        return None
    import scipy

    n = len(ours)
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    ties = sum(a == b for a, b in zip(ours, theirs, strict=True))
    least, most = wins, wins + ties
    low = float(scipy.special.betaincinv(least, n - least + 1, ALPHA / 2)) if least else 0.0
    high = float(scipy.special.betaincinv(most + 1, n - most, 1 - ALPHA / 2)) if most < n else 1.0
    return Superiority(probability=(wins + ties / 2) / n, low=low, high=high)
