"""Ranking of norms by test accuracy. The tests allow for the leader having been picked for being the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from normbench.analysis.aggregate import Estimate, estimate
from normbench.analysis.paired import MARGIN, PairedDifference, by_norm_and_seed, compare_all_pairs, versus
from normbench.runs import RunResult


@dataclass(frozen=True)
class Ranking:
    """Norm with the highest mean test accuracy over the seeds that all norms share, and the others against it."""

    norm: str
    accuracy: Estimate
    """Over `seeds` alone."""
    seeds: tuple[int, ...]
    """Seeds with which every ranked norm was finished."""
    others: tuple[PairedDifference, ...]
    """Every other ranked norm minus the leader, from the same family of tests as the table of differences."""
    diverged: tuple[str, ...]
    """Norms with a run that diverged: they rank below all others."""

    @property
    def tests(self) -> int:
        """Number of pairs of norms that were tested together."""
        return self.others[0].tests if any(other.p is not None for other in self.others) else 0


def rank_norms(results: Sequence[RunResult], margin: float = MARGIN) -> Ranking | None:
    """Rank norms with one run per seed; None where no run has a test accuracy, or no seed is shared.

    The best norm is chosen by the same numbers that are then tested; the tests are adjusted for the pairs of all
    norms, which covers whichever it is.
    """
    accuracies = {norm: of_norm for norm, of_norm in by_norm_and_seed(results).items() if of_norm}
    diverged = tuple(norm for norm, of_norm in accuracies.items() if None in of_norm.values())
    ranked = {norm: of_norm for norm, of_norm in accuracies.items() if norm not in diverged}
    seeds = tuple(sorted(set.intersection(*(set(of_norm) for of_norm in ranked.values())))) if ranked else ()
    if not seeds:
        return None
    means = {norm: estimate([of_norm[seed] or 0.0 for seed in seeds]) for norm, of_norm in ranked.items()}
    best, accuracy = max(means.items(), key=lambda item: item[1].mean if item[1] else 0.0)
    assert accuracy is not None, "there are seeds"
    others = [pair for pair in versus(best, compare_all_pairs(accuracies, margin)) if pair.norm in ranked]
    return Ranking(best, accuracy, seeds, tuple(others), diverged)
