"""Conclusions of `rank`, computed from its figures."""

from collections.abc import Sequence

from normbench.analysis import AverageRanks, Friedman
from normbench.analysis import format as text
from normbench.studies.rank.measure import Excluded, Measurement, TaskResult
from normbench.studies.rank.runs import Task
from normbench.text import counted

MOST_NAMED = 6
"""Blocks or pairs that a sentence names."""


def conclusions(measurement: Measurement) -> list[str]:
    """Best average rank, the test of it, the leader of each network, norms that are alike, and what does not count."""
    sentences = [
        *_best(measurement),
        *_friedman(measurement),
        *_leaders(measurement),
        _alike(measurement),
        *_diverged(measurement),
        *_excluded(measurement, measurement.excluded),
        *_limits(measurement),
    ]
    return [sentence for sentence in sentences if sentence]


def label(task: Task, tasks: Sequence[Task]) -> str:
    """Name of a task: its network, with the batch size where there are several."""
    several = len({other.batch_size for other in tasks}) > 1
    return f"{task.network} b{task.batch_size}" if several else task.network


def _scope(measurement: Measurement) -> str:
    """Meaning of a block."""
    tasks = [task for task in measurement.tasks if task not in measurement.excluded.tasks]
    names = text.join_names([label(task, measurement.tasks) for task in tasks])
    if measurement.settings.blocks == "networks":
        return f"one per network, its mean over the seeds ({names})"
    return f"one per network and seed ({names})"


def _best(measurement: Measurement) -> list[str]:
    ranks = measurement.ranks
    if ranks is None:
        return ["No average ranks: no block has a run of every norm."]
    best = [name for name, rank in zip(ranks.names, ranks.ranks, strict=True) if rank == ranks.ranks[0]]
    apart = [name for name in ranks.names if ranks.differ(ranks.names[0], name)]
    tested = f"; it differs from {text.join_names(apart)}" if apart else "; no other norm differs from it"
    verb = "have" if len(best) > 1 else "has"
    leads = f"{text.join_names(best)} {verb} the best average rank, {ranks.ranks[0]:.2f} among {len(ranks.names)} norms"
    blocks = counted(ranks.blocks, "block")
    return [f"{leads} over {blocks}, {_scope(measurement)}{tested if ranks.friedman else ''}."]


def _friedman(measurement: Measurement) -> list[str]:
    if measurement.ranks is None:
        return []
    test = measurement.ranks.friedman
    if test is None:
        return ["Not tested: the test of Friedman takes three norms and two blocks at least."]
    return [_tested(test, measurement.ranks)]


def _tested(test: Friedman, ranks: AverageRanks) -> str:
    f = "infinite" if test.f is None else f"{test.f:.2f}"
    figures = f"Friedman's chi-squared {test.chi_square:.2f}, p {text.p_value(test.p)}; Iman and Davenport's F {f}, p "
    if not test.rejected:
        return f"The norms are not separated ({figures}{text.p_value(test.p_f)})."
    return (
        f"The norms differ ({figures}{text.p_value(test.p_f)}); two differ from an average rank of "
        f"{ranks.critical_difference:.2f} between them (Nemenyi's critical difference)."
    )


def _leaders(measurement: Measurement) -> list[str]:
    """Norm with the highest mean in each network; networks with one leader together."""
    leaders: dict[str, list[str]] = {}
    for task_result in measurement.by_task:
        if task_result.ranking:
            leaders.setdefault(task_result.ranking.norm, []).append(label(task_result.task, measurement.tasks))
    if not leaders:
        return []
    return [f"The highest mean: {'; '.join(f'{norm} in {text.join_names(tasks)}' for norm, tasks in leaders.items())}."]


def _alike(measurement: Measurement) -> str:
    alike = [(task_result.task, task_result.alike) for task_result in measurement.by_task if task_result.alike]
    margin = f"{100 * measurement.margin:g} points"
    if not alike:
        tested = any(pair.p is not None for task_result in measurement.by_task for pair in task_result.pairs)
        return f"No two norms are shown to be alike within {margin} in any network." if tested else ""
    parts = [f"in {label(task, measurement.tasks)} {_pairs(pairs)}" for task, pairs in alike]
    return f"Alike within {margin} (two one-sided tests): {'; '.join(parts)}."


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    named = [f"{a} and {b}" for a, b in pairs[:MOST_NAMED]]
    more = len(pairs) - len(named)
    return ", ".join(named) + (f" and {more} more pairs" if more else "")


def _diverged(measurement: Measurement) -> list[str]:
    parts = [
        f"{row.norm} in {label(task_result.task, measurement.tasks)} ({row.diverged} of {row.runs})"
        for task_result in measurement.by_task
        for row in task_result.rows.values()
        if row.diverged
    ]
    return [f"Diverged, and so ranked last in their blocks: {'; '.join(parts)}."] if parts else []


def _excluded(measurement: Measurement, excluded: Excluded) -> list[str]:
    """Sentences on what does not count in the average ranks."""
    sentences = []
    if excluded.norms:
        sentences.append(
            f"Without an average rank, as not every network can have them: {text.join_names(excluded.norms)}."
        )
    if excluded.tasks:
        names = text.join_names([label(task, measurement.tasks) for task in excluded.tasks])
        sentences.append(f"Not in the average ranks, as it lacks ranked norms: {names}.")
    if excluded.blocks:
        shown = [
            f"{label(task, measurement.tasks)} seed {seed} (no run of {text.join_names(norms)})"
            for task, seed, norms in excluded.blocks[:MOST_NAMED]
        ]
        more = len(excluded.blocks) - len(shown)
        rest = f" and {more} more" if more else ""
        sentences.append(f"Incomplete and left out of the average ranks: {'; '.join(shown)}{rest}.")
    return sentences


def _limits(measurement: Measurement) -> list[str]:
    results = measurement.results
    seeds = len({result.seed for result in results})
    runs = measurement.settings.blocks == "runs" and measurement.ranks is not None
    return [
        *_edges(measurement),
        *(["The ranks hold for other seeds in these networks, not for other networks (--blocks networks)."] * runs),
        *(["One seed shows no spread: small differences may be chance (--seeds 3)."] if seeds == 1 else []),
        *text.other_images(results),
    ]


def _edges(measurement: Measurement) -> list[str]:
    """Name the norms whose best rate is the smallest or the largest of the search, beyond which may be better ones."""
    rates = measurement.settings.rates or ()
    parts = [
        f"{row.norm} in {label(one.task, measurement.tasks)} ({row.lr:g})"
        for one in measurement.by_task
        for row in one.rows.values()
        if rates and row.lr in (min(rates), max(rates))
    ]
    return [f"Best at the edge of the rates that were tried: {', '.join(parts)}."] if parts else []


def rates_note(measurement: Measurement) -> str:
    """Origin of the learning rates."""
    if measurement.settings.rates:
        tried = ", ".join(f"{rate:g}" for rate in sorted(set(measurement.settings.rates)))
        return (
            f"The best of {tried} for each norm in each network, by validation accuracy of a seed that is not ranked."
        )
    named = "; ".join(f"{network}: {recipe}" for network, recipe in measurement.recipes.items())
    return f"Rates of the recipes ({named}), scaled to the batch size. * Not searched for in this network."


def caption(measurement: Measurement) -> str:
    """Data set, networks, epochs, seeds, device and versions."""
    networks = ", ".join(dict.fromkeys(task.network for task in measurement.tasks))
    first, *others = measurement.results
    shown = [first.model_copy(update={"network": networks}), *others]
    untold = [result.model_copy(update={"tuned": None}) for result in shown]  # the table of rates marks what was tuned
    return text.caption(untold, measurement.recipe.training.epochs)


def leader_cells(task_result: TaskResult) -> tuple[str, str]:
    """Norms of a task that are separated from its leader, and those that cannot be told from it."""
    if task_result.ranking is None:
        return "-", "-"
    separated = [pair.norm for pair in task_result.ranking.others if pair.separated]
    other = [pair.norm for pair in task_result.ranking.others if not pair.separated]
    return ", ".join(separated) or "-", ", ".join(other) or "-"
