"""Which norm leads, and whether it is separated from the others, although it was picked for being the best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from normbench.analysis.paired import PairedDifference, holm, paired_differences
from normbench.analysis.rows import Row, summarize
from normbench.runs import RunResult


@dataclass(frozen=True)
class Leading:
    """The norm with the highest mean test accuracy, and every other norm against it."""

    row: Row
    others: tuple[PairedDifference, ...]
    """`p_holm` is adjusted for all pairs of norms, since the leader is known only after looking at all of them."""
    tests: int
    """Pairs of norms that could be tested."""


def leading(results: Sequence[RunResult]) -> Leading | None:
    """The leader among norms with one run a seed; None where no run has a test accuracy.

    The differences to a control chosen beforehand need adjustment for those differences alone. The best norm was
    chosen by the same numbers that would then be tested; adjusting over all pairs of norms covers whichever it is.
    """
    rows = [row for row in summarize(results) if row.test_accuracy]
    if not rows:
        return None
    best = max(rows, key=lambda row: row.test_accuracy.mean if row.test_accuracy else 0.0)
    norms = [row.norm for row in rows]
    adjusted = _adjusted(results, norms)
    others = [one for one in paired_differences(results, best.norm) if one.norm in norms]
    judged = tuple(replace(one, p_holm=adjusted.get(frozenset((one.norm, one.control)))) for one in others)
    return Leading(best, judged, len(adjusted))


def _adjusted(results: Sequence[RunResult], norms: Sequence[str]) -> dict[frozenset[str], float]:
    """Holm's p of every pair of norms that can be tested, over all of these pairs."""
    p_values = {
        frozenset((one.norm, one.control)): one.p
        for control in norms
        for one in paired_differences(results, control)
        if one.p is not None
    }
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))
