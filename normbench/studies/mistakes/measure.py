"""Every mistake made on every seed. It is compared with the right way in pairs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from normbench.analysis import PairedDifference, compare_pairs
from normbench.analysis.format import percent
from normbench.config import MachineConfig, Recipe
from normbench.data import DataSet
from normbench.device import describe
from normbench.engine.concurrency import Concurrency, plan_concurrency
from normbench.engine.threads import Threads, threads_each
from normbench.errors import INTERRUPTED, NormbenchError
from normbench.randomness import deterministic
from normbench.studies.mistakes.bench import Bench, Outcome
from normbench.studies.mistakes.catalog import Mistake, select
from normbench.studies.mistakes.settings import MistakesSettings
from normbench.studies.mistakes.study import STUDY
from normbench.studies.study import StudyContext

Outcomes = Mapping[str, Sequence[Outcome]]
"""By mistake, one per seed."""


@dataclass(frozen=True)
class Measurement:
    """Outcomes of the mistakes, and the conditions that they hold for."""

    recipe: Recipe
    data: DataSet
    mistakes: tuple[Mistake, ...]
    outcomes: Outcomes
    differences: Mapping[str, PairedDifference]
    """Wrong minus right, by mistake."""
    device: str
    """Description of the device, with the number of seeds that shared it."""


def measure(settings: MistakesSettings, context: StudyContext) -> Measurement:
    """Make the mistakes on every seed of the recipe, on images that are loaded once.

    Raises:
        NormbenchError: It was interrupted, with that exit code.
    """
    mistakes = select(settings.only)
    recipe = context.load_recipe(STUDY.recipe)
    data = context.load_data(recipe.data)
    try:
        with deterministic(recipe.deterministic):
            return measure_mistakes(recipe, data, mistakes, context.machine, context.note)
    except KeyboardInterrupt as error:
        hint = "Fewer at a time: --only NAME, or --seeds 1."
        raise NormbenchError("interrupted; nothing is kept until every mistake is made", hint, INTERRUPTED) from error


def measure_mistakes(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], machine: MachineConfig, note: Callable[[str], None]
) -> Measurement:
    """Make every mistake on every seed of the recipe, and test the differences in test accuracy.

    Args:
        recipe: Network, training and seeds.
        data: Images, loaded already.
        mistakes: In the order of the tables.
        machine: Limits the number of seeds that share the device.
        note: Receives a line per mistake and seed, from several threads.

    Raises:
        DivergedError: A training loss is no longer finite.
    """
    device = data.train.images.device
    concurrency = Concurrency(1)
    if device.type == "cpu":  # seeds share its cores; elsewhere they run one after another
        concurrency = plan_concurrency(device, machine, recipe.seeds, random=recipe.network.dropout > 0)
    with threads_each(concurrency.threads):
        outcomes = _make_all(recipe, data, mistakes, concurrency.runs, note)
        description = describe(device)
    if concurrency.runs > 1:
        description += f", {concurrency.runs} seeds trained concurrently"
    differences = _compare(mistakes, outcomes, recipe.seed)
    return Measurement(recipe, data, tuple(mistakes), outcomes, differences, description)


def _make_all(
    recipe: Recipe, data: DataSet, mistakes: Sequence[Mistake], concurrent: int, note: Callable[[str], None]
) -> dict[str, list[Outcome]]:
    def work(seed: int) -> list[Outcome]:
        bench = Bench(recipe, data, seed, threads.interrupted)
        outcomes = []
        for mistake in mistakes:
            outcome = mistake.trial(bench)
            outcomes.append(outcome)
            note(f"seed {seed}  {mistake.name}: right {percent(outcome.right)}, wrong {percent(outcome.wrong)}")
        return outcomes

    threads = Threads(work, concurrent)
    by_seed: dict[int, list[Outcome]] = {}
    with closing(threads.do(range(recipe.seed, recipe.seed + recipe.seeds))) as ended:
        for seed, outcomes in ended:
            if isinstance(outcomes, Exception):
                raise outcomes
            by_seed[seed] = outcomes
    return {mistake.name: [by_seed[seed][index] for seed in sorted(by_seed)] for index, mistake in enumerate(mistakes)}


def _compare(mistakes: Sequence[Mistake], outcomes: Outcomes, first_seed: int) -> dict[str, PairedDifference]:
    """Compare the wrong with the right way of each mistake, in one family of tests."""
    accuracies = {}
    pairs = [(mistake.name, f"{mistake.name}: right") for mistake in mistakes]
    for wrong, right in pairs:
        by_seed = dict(enumerate(outcomes[wrong], first_seed))
        accuracies[wrong] = {seed: outcome.wrong for seed, outcome in by_seed.items()}
        accuracies[right] = {seed: outcome.right for seed, outcome in by_seed.items()}
    return {difference.norm: difference for difference in compare_pairs(pairs, accuracies)}
