"""Ranks of norms over networks and seeds. Complete blocks, average ranks, and differences in each network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from normbench.analysis import (
    Aggregate,
    AverageRanks,
    PairedDifference,
    Ranking,
    aggregate_runs,
    average_ranks,
    rank_norms,
)
from normbench.analysis.average_ranks import Block
from normbench.analysis.paired import by_norm_and_seed, compare_all_pairs
from normbench.config import Recipe, RunConfig, recipe_names
from normbench.errors import UsageError
from normbench.runs import RunResult
from normbench.studies.rank.runs import (
    Candidate,
    Task,
    candidates,
    check_networks,
    found_rates,
    group_holes,
    ranked_configs,
    search_configs,
)
from normbench.studies.rank.settings import Blocks, RankSettings
from normbench.studies.rank.study import STUDY
from normbench.studies.study import StudyContext


@dataclass(frozen=True)
class TaskResult:
    """Results of one task, by norm."""

    task: Task
    rows: Mapping[str, Aggregate]
    results: tuple[RunResult, ...]
    pairs: tuple[PairedDifference, ...]
    """Every pair of norms over their seeds, one family of tests."""
    ranking: Ranking | None

    @property
    def alike(self) -> list[tuple[str, str]]:
        """Pairs that differ by less than the margin."""
        return [(pair.control, pair.norm) for pair in self.pairs if pair.alike]


@dataclass(frozen=True)
class Excluded:
    """Reason why something does not count in the average ranks."""

    tasks: tuple[Task, ...] = ()
    """Networks in which not every ranked norm can be."""
    norms: tuple[str, ...] = ()
    """Norms that cannot be in every ranked network."""
    blocks: tuple[tuple[Task, int | None, tuple[str, ...]], ...] = ()
    """Task and seed (None: all of them) of incomplete blocks, with the norms that lack a run there."""


@dataclass(frozen=True)
class Measurement:
    """Results by task, the average ranks, and what they were taken from."""

    by_task: tuple[TaskResult, ...]
    holes: Mapping[tuple[Task, str], str]
    """Reasons by task and norm."""
    ranks: AverageRanks | None
    excluded: Excluded
    settings: RankSettings
    recipe: Recipe
    recipes: Mapping[str, str]
    """Name of the recipe by network."""
    device: torch.device

    @property
    def margin(self) -> float:
        """Difference of accuracy (a fraction) within which norms are alike."""
        return self.settings.margin / 100

    @property
    def norms(self) -> tuple[str, ...]:
        """Norms by average rank, then those without one."""
        ranked = self.ranks.names if self.ranks else ()
        return tuple(dict.fromkeys([*ranked, *(norm for task_result in self.by_task for norm in task_result.rows)]))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks in which a norm was trained."""
        return tuple(task_result.task for task_result in self.by_task)

    @property
    def results(self) -> list[RunResult]:
        """Results of all runs."""
        return [result for task_result in self.by_task for result in task_result.results]


def measure(settings: RankSettings, context: StudyContext) -> Measurement:
    """Train every norm in every network, at the recipes' rates or after an equal search, and rank them."""
    recipe = context.load_recipe(STUDY.recipe, {"norms": settings.norms} if settings.norms else {})
    recipes = {name: _recipe_of(name, recipe, context) for name in check_networks(settings.networks)}
    sizes = settings.batch_sizes or (recipe.training.batch_size,)
    chosen, holes = candidates({name: loaded for name, (_, loaded) in recipes.items()}, sizes, settings.max_params)
    for hole in group_holes(holes):
        context.note(f"not possible: {', '.join(hole.norms)} in {', '.join(hole.networks)}: {hole.text}")
    seeds = range(recipe.seed, recipe.seed + recipe.seeds)
    rates = _search(chosen, settings, seeds.stop, recipe, context) if settings.rates else None
    chosen = [candidate for candidate in chosen if rates is None or candidate in rates]
    planned = ranked_configs(chosen, seeds, rates)
    plan, results = context.train(planned, recipe, finished=settings.finished) if planned else (None, [])
    if plan is None or not results:
        raise UsageError("no run is finished that could be ranked", "Train them: without --finished.")
    by_task, ranks, excluded = rank(plan.configs, results, holes, settings, planned)
    names = {name: source for name, (source, _) in recipes.items()}
    return Measurement(by_task, holes, ranks, excluded, settings, recipe, names, plan.host)


def _recipe_of(network: str, recipe: Recipe, context: StudyContext) -> tuple[str, Recipe]:
    """Name and settings of a network's recipe: the one that was asked for, else that of its name, else the study's.

    Images and epochs are those of the ranking, so that the budget is the same in every network.
    """
    if context.recipe is not None or network not in recipe_names():
        return context.recipe or STUDY.recipe or "", recipe.in_network(network)
    budget = {
        "norms": recipe.norms,
        "data": recipe.data.model_dump(),
        "training": {"epochs": recipe.training.epochs},
    }
    return network, context.load_recipe(network, budget).in_network(network)


def _search(
    chosen: Sequence[Candidate], settings: RankSettings, seed: int, recipe: Recipe, context: StudyContext
) -> dict[Candidate, float]:
    """Find the rate of each candidate, in an experiment beside that of the ranking."""
    name = context.experiment
    context.experiment = f"{name}-search"
    configs = search_configs(chosen, settings.rates or (), seed)
    plan, results = context.train(configs, recipe, finished=settings.finished)
    context.experiment = name
    return found_rates(chosen, plan.configs, results)


def rank(
    configs: Sequence[RunConfig],
    results: Sequence[RunResult],
    holes: Mapping[tuple[Task, str], str],
    settings: RankSettings,
    planned: Sequence[RunConfig],
) -> tuple[tuple[TaskResult, ...], AverageRanks | None, Excluded]:
    """Rank the norms of these runs.

    Args:
        configs: Runs as planned.
        results: Result of each, in the same order.
        holes: Reasons why a norm cannot be in a task.
        settings: Blocks and margin.
        planned: Runs that there were to be.
    """
    of_task: dict[Task, list[RunResult]] = {}
    for config, result in zip(configs, results, strict=True):
        of_task.setdefault(_task_of(config), []).append(result)
    seeds: dict[Task, set[int]] = {}
    for config in planned:
        seeds.setdefault(_task_of(config), set()).add(config.seed)
    by_task = tuple(_task_result(task, runs, settings.margin / 100) for task, runs in of_task.items())
    tasks, norms = complete_table(list(of_task), list(dict.fromkeys(config.norm for config in planned)), set(holes))
    full, incomplete = _blocks(
        [task_result for task_result in by_task if task_result.task in tasks], norms, seeds, settings.blocks
    )
    excluded = Excluded(
        tuple(task for task in of_task if task not in tasks),
        tuple(dict.fromkeys(config.norm for config in planned if config.norm not in norms)),
        tuple(incomplete),
    )
    return by_task, average_ranks(full), excluded


def _task_of(config: RunConfig) -> Task:
    return Task(config.network.name, config.training.batch_size)


def _task_result(task: Task, results: Sequence[RunResult], margin: float) -> TaskResult:
    accuracies = {norm: of_norm for norm, of_norm in by_norm_and_seed(results).items() if of_norm}
    return TaskResult(
        task,
        {row.norm: row for row in aggregate_runs(results)},
        tuple(results),
        tuple(compare_all_pairs(accuracies, margin)),
        rank_norms(results, margin),
    )


def complete_table(
    tasks: Sequence[Task], norms: Sequence[str], holes: set[tuple[Task, str]]
) -> tuple[list[Task], list[str]]:
    """Leave out tasks and norms until there is no hole, at each step the one with the largest share of holes.

    Among equals a norm goes before a task, and a later one before an earlier one.
    """
    tasks, norms = list(tasks), list(norms)

    def share_of_norm(norm: str) -> float:
        return sum((task, norm) in holes for task in tasks) / len(tasks)

    def share_of_task(task: Task) -> float:
        return sum((task, norm) in holes for norm in norms) / len(norms)

    while any((task, norm) in holes for task in tasks for norm in norms):
        norm, task = max(reversed(norms), key=share_of_norm), max(reversed(tasks), key=share_of_task)
        if share_of_norm(norm) >= share_of_task(task):
            norms.remove(norm)
        else:
            tasks.remove(task)
    return tasks, norms


def _blocks(
    by_task: Sequence[TaskResult], norms: Sequence[str], planned: Mapping[Task, set[int]], kind: Blocks
) -> tuple[list[Block], list[tuple[Task, int | None, tuple[str, ...]]]]:
    """Scores of the complete blocks, and the incomplete ones with the norms that lack a run."""
    full: list[Block] = []
    incomplete: list[tuple[Task, int | None, tuple[str, ...]]] = []
    for task_result in by_task:
        accuracies = by_norm_and_seed(task_result.results)
        of_seed: list[Block] = []
        for seed in sorted(planned[task_result.task]):
            missing = tuple(norm for norm in norms if seed not in accuracies.get(norm, {}))
            if missing:
                incomplete.append((task_result.task, seed, missing))
            else:
                of_seed.append({norm: accuracies[norm][seed] for norm in norms})
        if kind == "runs":
            full += of_seed
        elif of_seed:
            full.append({norm: _mean([block[norm] for block in of_seed]) for norm in norms})
    return full, incomplete


def _mean(scores: Sequence[float | None]) -> float | None:
    """Mean over seeds; None where a run diverged, as a mean of the others would flatter the norm."""
    finished = [score for score in scores if score is not None]
    return sum(finished) / len(finished) if len(finished) == len(scores) else None
