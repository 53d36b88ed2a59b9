"""The study of mistakes: each made on every seed, set against the right way in pairs, and told."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch

from normbench.analysis import PairedDifference, StudyResult, Table, compare_pairs
from normbench.analysis.format import percent, points
from normbench.config import MachineConfig, Recipe
from normbench.data import DataSet
from normbench.device import describe
from normbench.engine.concurrency import Concurrency, plan_concurrency
from normbench.engine.threads import Threads, threads_each
from normbench.runs.environment import environment
from normbench.studies.mistakes.bench import TEST_IMAGES, Bench, Outcome
from normbench.studies.mistakes.catalog import Mistake
from normbench.studies.mistakes.charts import Outcomes, draw, mean
from normbench.studies.mistakes.sentences import conditions, p_value, sentences, verdict


def find(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], machine: MachineConfig, tell: Callable[[str], None]
) -> StudyResult:
    """Make every mistake on every seed of the recipe, and say what each costs in test accuracy.

    Args:
        recipe: Network, training and seeds.
        data: Images that are loaded already.
        mistakes: In the order of the tables.
        machine: How many seeds may share the device.
        tell: Is told in words how it goes on, by several threads.

    Raises:
        DivergedError: A training loss is no longer finite.
    """
    device = data.train.images.device
    shared = _sharing(recipe, machine, device)
    with threads_each(shared.threads):
        outcomes = _make(recipe, data, mistakes, shared.runs, tell)
        where = describe(device) + (f", {shared.runs} seeds trained concurrently" if shared.runs > 1 else "")
    differences = _differences(mistakes, outcomes, recipe.seed)
    return StudyResult(
        study="mistakes",
        title="What do common mistakes with norms cost?",
        answer=sentences(mistakes, differences),
        conditions=conditions(recipe, data, min(TEST_IMAGES, len(data.test)), where),
        tables=(_costs(mistakes, outcomes, differences), _lessons(mistakes, outcomes)),
        charts=draw(mistakes, outcomes),
        environment=environment(device),
        values={"torch": torch.__version__, "mistakes": _values(mistakes, outcomes, differences)},
    )


def _sharing(recipe: Recipe, machine: MachineConfig, device: torch.device) -> Concurrency:
    """Seeds share the cores of a CPU; elsewhere they come one after another."""
    if device.type != "cpu":
        return Concurrency(1)
    return plan_concurrency(device, machine, recipe.seeds, random=recipe.network.dropout > 0)


def _make(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], at_once: int, tell: Callable[[str], None]
) -> dict[str, list[Outcome]]:
    """What came of every mistake, by seed."""

    def work(seed: int) -> list[Outcome]:
        bench = Bench(recipe, data, seed, threads.interrupted)
        outcomes = []
        for one in mistakes:
            outcomes.append(one.measure(bench))
            right, wrong = percent(outcomes[-1].right), percent(outcomes[-1].wrong)
            tell(f"seed {seed}  {one.name}: right {right}, wrong {wrong}")
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


def _costs(mistakes: Sequence[Mistake], outcomes: Outcomes, differences: Mapping[str, PairedDifference]) -> Table:
    rows = [
        (
            one.name,
            percent(mean(outcomes, one, "right")),
            percent(mean(outcomes, one, "wrong")),
            points(differences[one.name].difference),
            p_value(differences[one.name].p_holm),
            verdict(differences[one.name]),
        )
        for one in mistakes
    ]
    note = (
        "Test accuracy. Difference: wrong less right on the same seeds, each with an interval of its own; p and "
        "verdict: paired t-test, Holm-adjusted for all of them together."
    )
    columns = ("mistake", "right way", "wrong way", "difference", "Holm p", "verdict")
    return Table(title="What each mistake costs", columns=columns, rows=tuple(rows), note=note)


def _lessons(mistakes: Sequence[Mistake], outcomes: Outcomes) -> Table:
    rows = [
        (
            one.name,
            f"Wrong: {one.wrong}\n  {one.wrong_code}\nRight: {one.right}\n  {one.right_code}",
            look(one, outcomes[one.name]),
        )
        for one in mistakes
    ]
    columns = ("mistake", "wrong and right", "what to look for")
    return Table(title="How to know each", columns=columns, rows=tuple(rows), sentences=True)


def look(mistake: Mistake, outcomes: Sequence[Outcome]) -> str:
    """What to look for, with the figures that were measured: means over the seeds."""
    facts: dict[str, Any] = {}
    for name, value in outcomes[0].facts.items():
        figures = [outcome.facts[name] for outcome in outcomes]
        facts[name] = value if isinstance(value, str) else sum(map(float, figures)) / len(figures)
    return mistake.look.format(**facts).replace("%", " %")


def _values(
    mistakes: Sequence[Mistake], outcomes: Outcomes, differences: Mapping[str, PairedDifference]
) -> list[dict[str, Any]]:
    """By mistake, for programs: accuracies by seed, the difference, and the words."""
    values = []
    for one in mistakes:
        found, difference = outcomes[one.name], differences[one.name].difference
        values.append(
            {
                "name": one.name,
                "wrong": one.wrong,
                "right": one.right,
                "wrong_code": one.wrong_code,
                "right_code": one.right_code,
                "look": look(one, found),
                "right_accuracy": [outcome.right for outcome in found],
                "wrong_accuracy": [outcome.wrong for outcome in found],
                "facts": [outcome.facts for outcome in found],
                "difference": difference and difference.mean,
                "low95": difference and difference.low,
                "high95": difference and difference.high,
                "p_holm": differences[one.name].p_holm,
                "verdict": verdict(differences[one.name]),
            }
        )
    return values
