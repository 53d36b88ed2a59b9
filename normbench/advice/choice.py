"""Choice of a norm for a situation: the rules that hold, and norms ranked by the objections to them."""

from dataclasses import dataclass
from pathlib import Path

from normbench.advice.evidence import Measured, Unreadable, documented, look_up
from normbench.advice.rules import RULES, Evidence, Rule
from normbench.advice.situation import Situation

SOFT, HARD = 1, 2


@dataclass(frozen=True)
class Cited:
    """A rule that holds, and its evidence with the measurement of its study, here or else in the documentation."""

    rule: Rule
    evidence: tuple[tuple[Evidence, Measured | None], ...]


@dataclass(frozen=True)
class Advice:
    """First choice, alternative and norms to avoid, with the rules behind them."""

    situation: Situation
    first: str
    alternative: str | None
    avoid: tuple[str, ...]
    cited: tuple[Cited, ...]
    warnings: tuple[str, ...]


def advise(situation: Situation, out: Path) -> Advice:
    """Choose a norm by the rules that hold, and look up measurements under `out`.

    Preferred norms are ranked by the weight of the objections to them, then by the order of the rules.
    """
    holding = [rule for rule in RULES.values() if rule.holds(situation)]
    against = _objections(holding)
    ranked = sorted(_preferred(holding, situation), key=lambda norm: max(against.get(norm, {}).values(), default=0))
    first, alternative = ranked[0], next((norm for norm in ranked[1:] if not against.get(norm)), None)
    cited, unreadable = _cite(holding, situation, out)
    return Advice(
        situation=situation,
        first=first,
        alternative=alternative,
        avoid=tuple(norm for norm in against if norm != first and _is_possible(norm, situation)),
        cited=cited,
        warnings=(*_conflict(first, against.get(first, {})), *unreadable),
    )


def _preferred(holding: list[Rule], situation: Situation) -> list[str]:
    """Norms that rules prefer, those of the earliest rule first; sync-bn only on several devices."""
    norms = dict.fromkeys(norm for rule in holding for norm in rule.prefer)
    return [norm for norm in norms if _is_possible(norm, situation)]


def _is_possible(norm: str, situation: Situation) -> bool:
    return norm != "sync-bn" or situation.devices > 1


def _objections(holding: list[Rule]) -> dict[str, dict[str, int]]:
    """Weights of the rules against each norm, by norm and rule."""
    against: dict[str, dict[str, int]] = {}
    for rule in holding:
        for weight, norms in ((SOFT, rule.avoid), (HARD, rule.exclude)):
            for norm in norms:
                against.setdefault(norm, {})[rule.name] = weight
    return against


def _conflict(norm: str, objections: dict[str, int]) -> list[str]:
    if not objections:
        return []
    rules = " and ".join(f"'{RULES[name].condition}'" for name in objections)
    return [f"no norm meets every condition: {norm} is the best that is left, against {rules}"]


def _cite(holding: list[Rule], situation: Situation, out: Path) -> tuple[tuple[Cited, ...], list[str]]:
    cited: list[Cited] = []
    problems: dict[str, None] = {}
    for rule in holding:
        evidence = []
        for source in rule.evidence:
            measured = look_up(source, rule, situation, out) if source.study else None
            if isinstance(measured, Unreadable):
                problems[measured.problem] = None
                measured = None
            if measured is None and source.study:
                measured = documented(source, rule, situation)
            evidence.append((source, measured))
        cited.append(Cited(rule, tuple(evidence)))
    return tuple(cited), list(problems)
