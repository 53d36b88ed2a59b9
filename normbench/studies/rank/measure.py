"""Ranking of norms: results by network and norm, complete blocks, average ranks, and differences in each network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from normbench.config import RunConfig
from normbench.runs import RunResult
from normbench.studies.rank.runs import Task
from normbench.studies.rank.settings import Blocks


@dataclass(frozen=True)
class Measured:
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
class Ranked:
    """Everything that was measured, and the average ranks."""

    measured: tuple[Measured, ...]
    holes: Mapping[tuple[Task, str], str]
    """Reasons by task and norm."""
    ranks: AverageRanks | None
    excluded: Excluded
    blocks: Blocks
    margin: float

    @property
    def norms(self) -> tuple[str, ...]:
        """Norms by average rank, then those without one."""
        ranked = self.ranks.names if self.ranks else ()
        return tuple(dict.fromkeys([*ranked, *(norm for one in self.measured for norm in one.rows)]))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Tasks in which a norm was trained."""
        return tuple(one.task for one in self.measured)

    @property
    def results(self) -> list[RunResult]:
        """Results of all runs."""
        return [result for one in self.measured for result in one.results]


def rank(
    configs: Sequence[RunConfig],
    results: Sequence[RunResult],
    holes: Mapping[tuple[Task, str], str],
    blocks: Blocks,
    margin: float,
) -> Ranked:
    """Rank the norms of these runs.

    Args:
        configs: Runs as planned.
        results: Result of each, in the same order.
        holes: Reasons why a norm cannot be in a task.
        blocks: A block per task and seed, or per task.
        margin: Difference of accuracy (a fraction) within which norms are alike.
    """
    of_task: dict[Task, list[RunResult]] = {}
    for config, result in zip(configs, results, strict=True):
        of_task.setdefault(Task(config.network.name, config.training.batch_size), []).append(result)
    measured = tuple(_measure(task, runs, margin) for task, runs in of_task.items())
    tasks, norms = complete_table(list(of_task), list(dict.fromkeys(result.norm for result in results)), set(holes))
    chosen = [one for one in measured if one.task in tasks]
    full, incomplete = _blocks(chosen, norms, blocks)
    excluded = Excluded(
        tuple(task for task in of_task if task not in tasks),
        tuple(dict.fromkeys(result.norm for result in results if result.norm not in norms)),
        tuple(incomplete),
    )
    return Ranked(measured, holes, average_ranks(full), excluded, blocks, margin)


def _measure(task: Task, results: Sequence[RunResult], margin: float) -> Measured:
    accuracies = {norm: of_norm for norm, of_norm in by_norm_and_seed(results).items() if of_norm}
    return Measured(
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
    measured: Sequence[Measured], norms: Sequence[str], kind: Blocks
) -> tuple[list[Block], list[tuple[Task, int | None, tuple[str, ...]]]]:
    """Scores of the complete blocks, and the incomplete ones with the norms that lack a run."""
    full: list[Block] = []
    incomplete: list[tuple[Task, int | None, tuple[str, ...]]] = []
    for one in measured:
        accuracies = by_norm_and_seed(one.results)
        seeds = sorted({result.seed for result in one.results})
        of_seed: list[Block] = []
        for seed in seeds:
            missing = tuple(norm for norm in norms if seed not in accuracies.get(norm, {}))
            if missing:
                incomplete.append((one.task, seed, missing))
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
