"""Verdict on each difference between the wrong and the right way, and the conclusions."""

from collections.abc import Mapping, Sequence

import torch

from normbench.analysis import PairedDifference
from normbench.analysis.format import points
from normbench.config import Recipe
from normbench.data import DataSet
from normbench.studies.mistakes.catalog import Mistake

FEW = 20
"""With more seeds than these still to go, an effect is not worth the wait."""
COSTS, GAINS, NIL, UNTOLD, SINGLE = "costs", "scores higher", "no difference", "not separated", "one seed"
CONSTANT = "no spread"


def verdict(found: PairedDifference) -> str:
    """Costs or scores higher where it is separated from zero at level 0.05 over all mistakes, else why not."""
    difference = found.difference
    assert difference is not None, "every mistake is made on every seed"
    if difference.mean == 0.0 and not difference.sd:
        return NIL
    if difference.n == 1:
        return SINGLE
    if found.has_no_spread:
        return CONSTANT
    if not found.separated:
        return UNTOLD
    return COSTS if difference.mean < 0 else GAINS


def p_value(p: float | None) -> str:
    """As a table writes it."""
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def conclusions(mistakes: Sequence[Mistake], differences: Mapping[str, PairedDifference]) -> tuple[str, ...]:
    """The dearest first, then what is told from nothing, then what is not."""
    by_cost = sorted(mistakes, key=lambda one: _mean(differences[one.name]))
    kinds: dict[str, list[Mistake]] = {}
    for one in by_cost:
        kinds.setdefault(verdict(differences[one.name]), []).append(one)
    said = [
        _of_kind(kind, kinds[kind], differences)
        for kind in (COSTS, GAINS, SINGLE, CONSTANT, UNTOLD, NIL)
        if kind in kinds
    ]
    dearest = by_cost[0]
    if verdict(differences[dearest.name]) != COSTS:
        return tuple(said)
    return (f"The dearest mistake is {dearest.name} ({dearest.wrong}): {_points(dearest, differences)}.", *said)


def _of_kind(kind: str, mistakes: Sequence[Mistake], differences: Mapping[str, PairedDifference]) -> str:
    listed = ", ".join(f"{one.name} {_points(one, differences)}{_seeds(differences[one.name])}" for one in mistakes)
    names = ", ".join(one.name for one in mistakes)
    return {
        COSTS: f"Costs accuracy: {listed}.",
        GAINS: f"Scores higher than the right way, which makes it no less wrong: {listed}.",
        SINGLE: f"One seed, which cannot tell chance from effect: {listed}.",
        CONSTANT: f"The same difference on every seed, which leaves no spread to test it by: {listed}.",
        UNTOLD: f"Not separated from no effect with these seeds: {listed}.",
        NIL: f"No difference on any seed: {names}.",
    }[kind]


def _seeds(found: PairedDifference) -> str:
    """How many more seeds would separate it, were the observed difference the true one."""
    if found.more_seeds is None or found.more_seeds > FEW:
        return ""
    return f" ({found.more_seeds} more seed{'s' if found.more_seeds > 1 else ''} may separate it, if this is its size)"


def _mean(found: PairedDifference) -> float:
    assert found.difference is not None, "every mistake is made on every seed"
    return found.difference.mean


def _points(mistake: Mistake, differences: Mapping[str, PairedDifference]) -> str:
    return points(differences[mistake.name].difference)


def caption(recipe: Recipe, data: DataSet, scored: int, device: str) -> str:
    """What the figures hold for."""
    name = {"cifar10": "CIFAR-10", "digits": "the embedded digits, not CIFAR-10"}.get(data.name, data.name)
    training = recipe.training
    last = recipe.seed + recipe.seeds - 1
    seeds = f"seed {recipe.seed}" if recipe.seeds == 1 else f"{recipe.seeds} seeds ({recipe.seed}-{last})"
    widths = f" with widths {list(recipe.network.widths)}" if recipe.network.widths else ""
    return (
        f"{name} ({len(data.train):,} training images, {scored:,} test images scored); network {recipe.network.name}"
        f"{widths}; {training.epochs} epochs; batch {training.batch_size}; {seeds}; {device}; torch "
        f"{torch.__version__}. ± is the half width of the 95 % interval (Student's t)."
    )
