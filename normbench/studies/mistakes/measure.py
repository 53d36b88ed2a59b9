"""Each mistake made on every seed, and compared with the right way in pairs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from normbench.analysis import PairedDifference, compare_pairs
from normbench.analysis.format import percent
from normbench.config import MachineConfig, Recipe
from normbench.data import DataSet
from normbench.device import describe
from normbench.engine.concurrency import Concurrency, plan_concurrency
from normbench.engine.threads import Threads, threads_each
from normbench.studies.mistakes.bench import Bench, Outcome
from normbench.studies.mistakes.catalog import Mistake

Outcomes = Mapping[str, Sequence[Outcome]]
"""By mistake, one a seed."""


@dataclass(frozen=True)
class Measured:
    """Outcomes of the mistakes, and the conditions that they hold for."""

    recipe: Recipe
    data: DataSet
    mistakes: tuple[Mistake, ...]
    outcomes: Outcomes
    differences: Mapping[str, PairedDifference]
    """Wrong less right, by mistake."""
    device: str
    """Described, with the number of seeds that shared it."""


def measure_mistakes(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], machine: MachineConfig, note: Callable[[str], None]
) -> Measured:
    """Make every mistake on every seed of the recipe, and test the differences in test accuracy.

    Args:
        recipe: Network, training and seeds.
        data: Images that are loaded already.
        mistakes: In the order of the tables.
        machine: Bounds the number of seeds that share the device.
        note: Receives a line per mistake and seed, from several threads.

    Raises:
        DivergedError: A training loss is no longer finite.
    """
    device = data.train.images.device
    shared = _sharing(recipe, machine, device)
    with threads_each(shared.threads):
        outcomes = _make(recipe, data, mistakes, shared.runs, note)
        described = describe(device)
    if shared.runs > 1:
        described += f", {shared.runs} seeds trained concurrently"
    return Measured(recipe, data, tuple(mistakes), outcomes, _differences(mistakes, outcomes, recipe.seed), described)


def _sharing(recipe: Recipe, machine: MachineConfig, device: torch.device) -> Concurrency:
    """Seeds share the cores of a CPU; elsewhere they come one after another."""
    if device.type != "cpu":
        return Concurrency(1)
    return plan_concurrency(device, machine, recipe.seeds, random=recipe.network.dropout > 0)


def _make(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], at_once: int, note: Callable[[str], None]
) -> dict[str, list[Outcome]]:
    """What came of every mistake, by seed."""

    def work(seed: int) -> list[Outcome]:
        bench = Bench(recipe, data, seed, threads.interrupted)
        outcomes = []
        for one in mistakes:
            outcomes.append(one.measure(bench))
            right, wrong = percent(outcomes[-1].right), percent(outcomes[-1].wrong)
            note(f"seed {seed}  {one.name}: right {right}, wrong {wrong}")
        return outcomes

    threads = Threads(work, at_once)
    by_seed: dict[int, list[Outcome]] = {}
    with closing(threads.do(range(recipe.seed, recipe.seed + recipe.seeds))) as ended:
        for seed, outcomes in ended:
            if isinstance(outcomes, Exception):
                raise outcomes
            by_seed[seed] = outcomes
    return {one.name: [by_seed[seed][place] for seed in sorted(by_seed)] for place, one in enumerate(mistakes)}


def _differences(mistakes: Sequence[Mistake], outcomes: Outcomes, first: int) -> dict[str, PairedDifference]:
    """Wrong less right by mistake, tested together."""
    accuracies = {}
    for one in mistakes:
        accuracies[one.name] = {first + place: outcome.wrong for place, outcome in enumerate(outcomes[one.name])}
        accuracies[_right(one)] = {first + place: outcome.right for place, outcome in enumerate(outcomes[one.name])}
    judged = compare_pairs([(one.name, _right(one)) for one in mistakes], accuracies)
    return {found.norm: found for found in judged}


def _right(mistake: Mistake) -> str:
    return f"{mistake.name}: right"
