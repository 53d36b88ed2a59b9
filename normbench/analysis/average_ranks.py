"""Average ranks of norms, with their tests.

The tests are those of Friedman and of Nemenyi. A block is a set of scores that are comparable
only with each other, such as those of all norms in one network with one seed.

Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006), 1-30, section 3.2.
"""

import math
import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import computed_field

from normbench.analysis.aggregate import DocumentModel
from normbench.analysis.paired import ALPHA

if TYPE_CHECKING:
    import numpy as np

Block = Mapping[str, float | None]
"""Score by name; None is a run that diverged, which is worse than any score."""


class Friedman(DocumentModel):
    """Test of the hypothesis that all names have equal ranks."""

    chi_square: float
    p: float
    """P-value of `chi_square`, with the correction for ties."""
    f: float | None
    """Statistic of Iman and Davenport, which is less conservative; None if it is infinite, as every block agrees."""
    p_f: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rejected(self) -> bool:
        """True if the names differ at level 0.05, by the statistic of Iman and Davenport."""
        return self.p_f < ALPHA


class AverageRanks(DocumentModel):
    """Names by average rank, the best first; rank 1 is the best of a block, and ties share the mean of their ranks."""

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    first: tuple[float, ...]
    """Number of blocks in which each name is the best one; names that tie share a block."""
    blocks: int
    friedman: Friedman | None
    """None for fewer than three names or two blocks, or if all scores are equal."""
    critical_difference: float
    """Difference of average ranks from which two names differ at level 0.05 (Nemenyi)."""

    def differ(self, a: str, b: str) -> bool:
        """True if two names differ by the test of Nemenyi, which follows a test of Friedman that rejects."""
        if self.friedman is None or not self.friedman.rejected:
            return False
        rank = dict(zip(self.names, self.ranks, strict=True))
        return abs(rank[a] - rank[b]) >= self.critical_difference

    @computed_field  # type: ignore[prop-decorator]
    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Largest sets of neighbouring names that do not differ, the best first; a name may be in several."""
        indices = range(len(self.names))
        ends = [
            max(last for last in indices[first:] if not self.differ(self.names[first], self.names[last]))
            for first in indices
        ]
        spans = [(first, last) for first, last in enumerate(ends) if first == 0 or last > ends[first - 1]]
        return tuple(self.names[first : last + 1] for first, last in spans)

    @property
    def letters(self) -> dict[str, str]:
        """Letters of the groups of each name: names without a common letter differ."""
        alphabet = string.ascii_lowercase
        return {
            name: "".join(alphabet[index % 26] for index, group in enumerate(self.groups) if name in group)
            for name in self.names
        }


def average_ranks(blocks: Sequence[Block]) -> AverageRanks | None:
    """Rank the names of each block and average over the blocks; None without a block of two names.

    Raises:
        ValueError: The blocks are not of the same names.
    """
    import numpy as np

    if not blocks or len(blocks[0]) < 2:
        return None
    names = tuple(blocks[0])
    if any(block.keys() != blocks[0].keys() for block in blocks):
        raise ValueError("every block has a score for every name")
    table = np.array([_ranks([block[name] for name in names]) for block in blocks])
    best = table == table.min(axis=1, keepdims=True)
    first = (best / best.sum(axis=1, keepdims=True)).sum(axis=0)
    means = table.mean(axis=0)
    order = sorted(range(len(names)), key=lambda index: means[index])
    return AverageRanks(
        names=tuple(names[index] for index in order),
        ranks=tuple(float(means[index]) for index in order),
        first=tuple(float(first[index]) for index in order),
        blocks=len(blocks),
        friedman=_friedman(table),
        critical_difference=critical_difference(len(names), len(blocks)),
    )


def critical_difference(names: int, blocks: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of average ranks: q sqrt(k (k + 1) / (6 N)), for k names and N blocks.

    q is the quantile of the Studentized range with infinite degrees of freedom, divided by the square root of 2.
    """
    import scipy

    q = float(scipy.stats.studentized_range.ppf(1 - alpha, names, math.inf)) / math.sqrt(2)
    return q * math.sqrt(names * (names + 1) / (6 * blocks))


def _ranks(scores: Sequence[float | None]) -> "np.ndarray":
    import scipy

    values = [-math.inf if score is None else score for score in scores]
    ranks: np.ndarray = scipy.stats.rankdata([-value for value in values])
    return ranks


def _friedman(table: "np.ndarray") -> Friedman | None:
    """Friedman's test of a table of ranks, a row per block."""
    import scipy

    blocks, names = table.shape
    if names < 3 or blocks < 2 or (table == table[0, 0]).all():
        return None
    chi_square, p = map(float, scipy.stats.friedmanchisquare(*table.T))
    left = blocks * (names - 1) - chi_square
    if left <= 1e-9 * blocks * names:
        return Friedman(chi_square=chi_square, p=p, f=None, p_f=0.0)
    f = (blocks - 1) * chi_square / left
    return Friedman(
        chi_square=chi_square, p=p, f=f, p_f=float(scipy.stats.f.sf(f, names - 1, (names - 1) * (blocks - 1)))
    )
