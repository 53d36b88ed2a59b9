"""Norms against a control norm, in pairs: equal seeds have equal batches, so their common luck cancels."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # which loads scipy.stats, slow to import, when a figure first needs it

from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.power import more_seeds, scatters
from normbench.errors import unknown
from normbench.runs import RunResult

ALPHA = 0.05
RESAMPLES = 9999


@dataclass(frozen=True)
class Outperforming:
    """P(A > B), a fraction; the interval (95 %) is None where it cannot be told."""

    probability: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class PairedDifference:
    """Test accuracy of `norm` minus that of `control`, as fractions, over the seeds that both finished."""

    norm: str
    control: str
    seeds: tuple[int, ...]
    difference: Estimate | None
    """Mean and spread of the differences, and the interval of their mean, which is not adjusted."""
    better: Outperforming | None
    p: float | None = None
    """Two-sided paired t-test; None of fewer than two seeds, or of differences that do not scatter."""
    p_holm: float | None = None
    """`p`, adjusted for the number of norms that are compared with the control."""
    more_seeds: int | None = None
    """Seeds to add for 80 % power; None if separated already, or if it cannot be told (see `power.more_seeds`)."""

    @property
    def separated(self) -> bool:
        """Whether the norm differs from the control at level 0.05, over all comparisons together."""
        return self.p_holm is not None and self.p_holm < ALPHA


def paired_differences(results: Iterable[RunResult], control: str | None = None) -> list[PairedDifference]:
    """Every other norm against the control: the norm of that name, else the first one that appears.

    Each norm has one run a seed; runs that diverged or failed, or left the test images unread, make no pair.

    Raises:
        UsageError: No run has the control norm.
    """
    accuracies = _by_norm_and_seed(results)
    control = control or next(iter(accuracies), "")
    if control not in accuracies:
        raise unknown("control norm", control, accuracies)
    return judge_pairs([(norm, control) for norm in accuracies if norm != control], accuracies)


def judge_pairs(
    pairs: Sequence[tuple[str, str]], accuracies: Mapping[str, Mapping[int, float]]
) -> list[PairedDifference]:
    """The first of each pair against the second, over the seeds that both have; p adjusted for all pairs together.

    Args:
        pairs: Names, each the key of its accuracies.
        accuracies: By name, then by seed; fractions.
    """
    return _judged([_pair(norm, control, accuracies) for norm, control in pairs])


def _by_norm_and_seed(results: Iterable[RunResult]) -> dict[str, dict[int, float]]:
    accuracies: dict[str, dict[int, float]] = {}
    for result in results:
        of_norm = accuracies.setdefault(result.norm, {})
        if result.status == "done" and result.test_accuracy is not None:
            assert result.seed not in of_norm, "a norm has one run a seed"
            of_norm[result.seed] = result.test_accuracy
    return accuracies


def _pair(norm: str, control: str, accuracies: Mapping[str, Mapping[int, float]]) -> PairedDifference:
    seeds = tuple(sorted(accuracies[norm].keys() & accuracies[control].keys()))
    ours = [accuracies[norm][seed] for seed in seeds]
    theirs = [accuracies[control][seed] for seed in seeds]
    difference = estimate(list(map(operator.sub, ours, theirs)))
    p = float(scipy.stats.ttest_rel(ours, theirs).pvalue) if difference and scatters(difference) else None
    return PairedDifference(norm, control, seeds, difference, outperforming(ours, theirs), p)


def _judged(found: list[PairedDifference]) -> list[PairedDifference]:
    """The differences with what depends on how many there are: adjusted p, and seeds needed at that level.

    More seeds are asked for at alpha over the number of tests, Holm's strictest step: a norm that is not separated
    then always needs at least one more, and adding them gives the promised power whatever the other norms do.
    """
    tested = [one for one in found if one.p is not None]
    adjusted = dict(zip((one.norm for one in tested), holm([one.p or 0.0 for one in tested]), strict=True))
    judged = [replace(one, p_holm=adjusted.get(one.norm)) for one in found]
    level = ALPHA / max(len(tested), 1)
    return [
        replace(one, more_seeds=more_seeds(one.difference, level)) if one.difference and not one.separated else one
        for one in judged
    ]


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


def outperforming(ours: Sequence[float], theirs: Sequence[float]) -> Outperforming | None:
    """P(A > B): how often A beats B on one seed, ties counting half; None of no pairs.

    The interval is the percentile bootstrap over pairs, the same on every call. Where every pair falls the same way
    there is none: no resample could differ, and an interval of width zero would claim a certainty that few seeds
    cannot give.

    Source: Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks (2021), arXiv:2103.03098.
    """
    if not ours:
        return None
    wins = np.heaviside(np.subtract(ours, theirs), 0.5)
    probability = float(wins.mean())
    if len(set(wins.tolist())) == 1:
        return Outperforming(probability)
    interval = scipy.stats.bootstrap(
        (wins,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return Outperforming(probability, float(interval.low), float(interval.high))
