"""From a situation to a norm: the rules that hold, ranked, with what speaks against each norm."""

from dataclasses import dataclass
from pathlib import Path

from normbench.advice.evidence import Measured, Unreadable, look_up
from normbench.advice.rules import RULES, Evidence, Rule
from normbench.advice.situation import Situation

SOFT, HARD = 1, 2


@dataclass(frozen=True)
class Cited:
    """A rule that holds, and its evidence with what was measured here; None where it was not, or needs no study."""

    rule: Rule
    evidence: tuple[tuple[Evidence, Measured | None], ...]


@dataclass(frozen=True)
class Advice:
    """A first choice, another one, what to avoid, and why."""

    situation: Situation
    first: str
    alternative: str | None
    avoid: tuple[str, ...]
    cited: tuple[Cited, ...]
    warnings: tuple[str, ...]


def advise(situation: Situation, out: Path) -> Advice:
    """Choose a norm by the rules that hold, and look up what was measured under `out`.

    Of the preferred norms those are best that the fewest objections weigh against, and then the earliest rule's.
    """
    holding = [rule for rule in RULES.values() if rule.holds(situation)]
    against = _objections(holding)
    ranked = sorted(_preferred(holding, situation), key=lambda norm: _weight(against.get(norm, {})))
    first, alternative = ranked[0], next((norm for norm in ranked[1:] if not against.get(norm)), None)
    cited, unreadable = _cite(holding, situation, out)
    return Advice(
        situation=situation,
        first=first,
        alternative=alternative,
        avoid=tuple(norm for norm in against if norm != first and _sensible(norm, situation)),
        cited=cited,
        warnings=(*_collision(first, against.get(first, {})), *unreadable),
    )


def _preferred(holding: list[Rule], situation: Situation) -> list[str]:
    """Every norm that a rule is for, the earliest rule's first; what needs several devices only where there are."""
    norms = dict.fromkeys(norm for rule in holding for norm in rule.prefer)
    return [norm for norm in norms if _sensible(norm, situation)]


def _sensible(norm: str, situation: Situation) -> bool:
    return norm != "sync-bn" or situation.devices > 1


def _objections(holding: list[Rule]) -> dict[str, dict[str, int]]:
    """By norm: the rules against it, and how much they weigh."""
    against: dict[str, dict[str, int]] = {}
    for rule in holding:
        for weight, norms in ((SOFT, rule.avoid), (HARD, rule.exclude)):
            for norm in norms:
                against.setdefault(norm, {})[rule.name] = weight
    return against


def _weight(objections: dict[str, int]) -> int:
    return max(objections.values(), default=0)


def _collision(norm: str, objections: dict[str, int]) -> list[str]:
    if not objections:
        return []
    rules = " and ".join(f"'{RULES[name].condition}'" for name in objections)
    return [f"no norm meets every condition: {norm} is the best that is left, against {rules}"]


def _cite(holding: list[Rule], situation: Situation, out: Path) -> tuple[tuple[Cited, ...], list[str]]:
    cited: list[Cited] = []
    problems: dict[str, None] = {}
    for rule in holding:
        evidence = []
        for one in rule.evidence:
            found = look_up(one, rule, situation, out) if one.study else None
            if isinstance(found, Unreadable):
                problems[found.problem] = None
                found = None
            evidence.append((one, found))
        cited.append(Cited(rule, tuple(evidence)))
    return tuple(cited), list(problems)
