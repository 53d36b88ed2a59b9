"""Which norm leads, and whether it is separated from the others, although it was picked for being the best."""

from collections.abc import Sequence
from dataclasses import dataclass

from normbench.analysis.estimates import Estimate, estimate
from normbench.analysis.paired import MARGIN, PairedDifference, against, by_norm_and_seed, judge_all
from normbench.runs import RunResult


@dataclass(frozen=True)
class Leading:
    """The norm with the highest mean test accuracy over the seeds that all norms share, and the others against it."""

    norm: str
    accuracy: Estimate
    """Over `seeds` alone."""
    seeds: tuple[int, ...]
    """Those with which every norm that is ranked was finished."""
    others: tuple[PairedDifference, ...]
    """Every other norm that is ranked less the leader; one of the judgements that the table of differences shows."""
    diverged: tuple[str, ...]
    """Norms of which a run diverged: they rank below all others."""

    @property
    def tests(self) -> int:
        """Pairs of norms that were tested together."""
        return self.others[0].tests if any(one.p is not None for one in self.others) else 0


def leading(results: Sequence[RunResult], margin: float = MARGIN) -> Leading | None:
    """The leader among norms with one run a seed; None where no run has a test accuracy, or no seed is shared.

    The best norm was chosen by the same numbers that are then tested; the tests are adjusted for the pairs of all
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
    others = [one for one in against(best, judge_all(accuracies, margin)) if one.norm in ranked]
    return Leading(best, accuracy, seeds, tuple(others), diverged)
