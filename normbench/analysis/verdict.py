"""Verdict on a comparison, and the assignment's conditions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from normbench.analysis.comparison import Comparison
from normbench.analysis.format import join_names, percent
from normbench.analysis.paired import PairedDifference
from normbench.analysis.ranking import Ranking
from normbench.config import MAX_EPOCHS, PARAMETER_BUDGET
from normbench.config.norm_names import NormName
from normbench.norms import NORMS
from normbench.text import counted

ASSIGNMENT_NORMS = ("bn", "gn", "ln")
ASSIGNMENT_ACCURACY = 0.7
"""Test accuracy that the assignment asks of each of its norms."""
EQUAL = 1e-12
"""Largest difference of two equal means, which were rounded."""


def verdict(comparison: Comparison) -> str:
    """State which norm was best, and whether that may be luck; empty where no norm can be called best."""
    ranking = comparison.ranking
    if ranking is None or not ranking.others:
        return ""
    names = _spoken([ranking.norm, *(pair.norm for pair in ranking.others), *ranking.diverged])
    tied = [names[pair.norm] for pair in ranking.others if _is_tied(pair, ranking)]
    best = f"{join_names([names[ranking.norm], *tied])} {'were' if tied else 'was'} best"
    diverged = [names[norm] for norm in ranking.diverged]
    ending = f" A run of {join_names(diverged)} diverged." if diverged else ""
    return f"{best}{_certainty(ranking, names, tied)}.{ending}"


def _certainty(ranking: Ranking, names: dict[str, str], tied: Sequence[str]) -> str:
    """The second half of the sentence, by the tests of the leader against the others."""
    seeds = len(ranking.seeds)
    if seeds == 1:
        return "; one seed cannot tell that from luck (--seeds 3)"
    ahead = [names[pair.norm] for pair in ranking.others if pair.separated and _lead(pair) > 0]
    alike = [names[pair.norm] for pair in ranking.others if pair.alike and names[pair.norm] not in tied]
    rest = [names[pair.norm] for pair in ranking.others if names[pair.norm] not in (*ahead, *alike)]
    if not ahead and not alike:
        return f"; with {seeds} seeds this could still be luck"
    parts = [f"over {seeds} seeds its lead over {join_names(ahead)} is more than luck"] if ahead else []
    parts += [f"{join_names(alike)} did as well within {100 * ranking.others[0].margin:g} pp"] if alike else []
    parts += [f"that over {join_names(rest)} could still be luck"] if rest else []
    return f"; {join_names(parts)}"


def _is_tied(pair: PairedDifference, ranking: Ranking) -> bool:
    return pair.difference is not None and tuple(pair.seeds) == ranking.seeds and abs(_lead(pair)) < EQUAL


def _lead(pair: PairedDifference) -> float:
    """Lead of the best norm over the other one of a pair."""
    return -pair.difference.mean if pair.difference else 0.0


def _spoken(norms: Sequence[str]) -> dict[str, str]:
    """Names in a sentence: `BatchNorm` for `bn`; as they were typed where two would share one."""
    titles = {norm: _title(norm) for norm in norms}
    unique = len(set(titles.values())) == len(titles)
    return titles if unique else {norm: norm for norm in norms}


def _title(norm: str) -> str:
    name = NormName.parse(norm)
    if name.is_custom or str(name) != name.base or name.base not in NORMS:
        return norm
    return NORMS[name.base].title.partition(" as ")[0].replace(" Normalization", "Norm")


@dataclass(frozen=True)
class Assignment:
    """Check of the assignment's conditions: accuracy of its three norms, parameters and epochs."""

    accuracies: dict[str, float | None]
    """Mean test accuracy by norm; None for a norm with a diverged run or without a finished one."""
    parameters: int
    """Those of the largest of the networks."""
    epochs: int

    @property
    def above(self) -> tuple[str, ...]:
        """Norms above the accuracy that is asked for."""
        return tuple(norm for norm, value in self.accuracies.items() if (value or 0.0) > ASSIGNMENT_ACCURACY)

    @property
    def met(self) -> bool:
        """True if every condition is met."""
        within = self.parameters < PARAMETER_BUDGET and self.epochs <= MAX_EPOCHS
        return within and len(self.above) == len(self.accuracies)

    @property
    def sentence(self) -> str:
        """One line that names each condition."""
        below = [f"{norm} {percent(value)}" for norm, value in self.accuracies.items() if norm not in self.above]
        missing = f" ({', '.join(below)})" if below else ""
        relation = "<" if self.parameters < PARAMETER_BUDGET else "not <"
        parts = (
            f"{len(self.above)} of {len(self.accuracies)} above {100 * ASSIGNMENT_ACCURACY:g} %{missing}",
            f"{self.parameters:,} {relation} {PARAMETER_BUDGET:,} parameters",
            counted(self.epochs, "epoch"),
        )
        if self.met:
            return f"assignment met: {', '.join(parts)}"
        return f"assignment not met: {', '.join(parts)} (the recipe fast meets it: --config fast)"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; accuracies are fractions."""
        return {
            "met": self.met,
            "above": list(self.above),
            "accuracies": self.accuracies,
            "parameters": self.parameters,
            "epochs": self.epochs,
            "sentence": self.sentence,
        }


def assignment(comparison: Comparison) -> Assignment | None:
    """Check a comparison of the assignment's norms in its network on CIFAR-10; None for any other comparison."""
    first = comparison.results[0]
    rows = {row.norm: row for row in comparison.rows if row.norm in ASSIGNMENT_NORMS}
    is_assignment = (first.dataset, first.network, first.split_seed) == ("cifar10", "c10", 0)
    if comparison.searching or comparison.unranked or not is_assignment or len(rows) < len(ASSIGNMENT_NORMS):
        return None
    accuracies = {
        norm: None if rows[norm].diverged or (mean := rows[norm].test_accuracy) is None else mean.mean
        for norm in ASSIGNMENT_NORMS
    }
    return Assignment(accuracies, max(row.parameters for row in rows.values()), comparison.epochs)
