"""Result of `rank`: tables, the critical-difference diagram, and the accuracies by network."""

from collections.abc import Callable
from typing import Any

from normbench.analysis import Aggregate, Chart, Line, StudyResult, Table, mismatches
from normbench.analysis import format as text
from normbench.config import Recipe
from normbench.studies.rank.measure import Ranked
from normbench.studies.rank.runs import Task
from normbench.studies.rank.sentences import conclusions, label, leader_cells, rates_note
from normbench.studies.rank.study import STUDY

CHANCE = 0.1
"""Accuracy of guessing among the ten classes that each data set here has."""
NOT_POSSIBLE = "not possible"


def rank_result(
    ranked: Ranked,
    recipe: Recipe,
    recipes: dict[str, str],
    rates: tuple[float, ...] | None,
    environment: dict[str, Any],
) -> StudyResult:
    """Lay out a ranking.

    Args:
        ranked: What was measured.
        recipe: Recipe of the ranking.
        recipes: Name of the recipe of each network.
        rates: Learning rates that were searched, if any.
        environment: Of the process, command line included.
    """
    note = rates_note(recipes, rates, recipe)
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=tuple(conclusions(ranked)),
        caption=_caption(ranked, recipe),
        tables=(
            _ranks(ranked),
            _accuracies(ranked),
            _leaders(ranked),
            _grid(ranked, "Learning rate by network", note, _rate),
            _grid(ranked, "Parameters by network", "", lambda row: f"{row.parameters:,}"),
            _grid(ranked, "Seconds of training per run", _shared(ranked), lambda row: text.figure(row.seconds, 1)),
            *([_holes(ranked)] if ranked.holes else []),
        ),
        charts=(*([_diagram(ranked)] if ranked.ranks else []), _bars(ranked)),
        warnings=tuple(dict.fromkeys(_warnings(ranked))),
        environment=environment,
        values=_values(ranked, rates),
    )


def _caption(ranked: Ranked, recipe: Recipe) -> str:
    networks = ", ".join(dict.fromkeys(task.network for task in ranked.tasks))
    shown = ranked.results[0].model_copy(update={"network": networks})
    results = [result.model_copy(update={"tuned": None}) for result in (shown, *ranked.results[1:])]
    return text.caption(results, recipe.training.epochs)  # the table of rates marks what was not searched for


def _ranks(ranked: Ranked) -> Table:
    ranks = ranked.ranks
    columns = ("norm", "average rank", "first in", "diverged", "group")
    if ranks is None:
        return Table(title="Average ranks", columns=columns, rows=(), note="No block has a run of every norm.")
    rows = tuple(
        (norm, f"{rank:.2f}", f"{first:.3g}", str(_diverged(ranked, norm)), ranks.letters[norm])
        for norm, rank, first in zip(ranks.names, ranks.ranks, ranks.first, strict=True)
    )
    note = (
        f"1 is the best of a block; {ranks.blocks} blocks. Norms with a letter in common do not differ: Nemenyi's test "
        f"at 0.05, critical difference {ranks.critical_difference:.2f}, where Friedman's test rejects (Demšar, JMLR 7 "
        "(2006), 1-30). A diverged run is the worst of its block."
    )
    return Table(title="Average ranks", columns=columns, rows=rows, note=note)


def _diverged(ranked: Ranked, norm: str) -> int:
    return sum(one.rows[norm].diverged for one in ranked.measured if norm in one.rows)


def _grid(ranked: Ranked, title: str, note: str, cell: Callable[[Aggregate], str]) -> Table:
    """Table with a row per norm and a column per task."""
    rows = tuple(
        (norm, *(_cell(ranked, one.task, one.rows.get(norm), cell) for one in ranked.measured)) for norm in ranked.norms
    )
    columns = ("norm", *(label(task, ranked.tasks) for task in ranked.tasks))
    return Table(title=title, columns=columns, rows=rows, note=note)


def _cell(ranked: Ranked, task: Task, row: Aggregate | None, cell: Callable[[Aggregate], str]) -> str:
    if row is not None:
        return cell(row)
    return NOT_POSSIBLE if any(hole == task for hole, _ in ranked.holes) else text.NOTHING


def _accuracies(ranked: Ranked) -> Table:
    def cell(row: Aggregate) -> str:
        accuracy = text.accuracy(row.test_accuracy, row.diverged, row.runs)
        missing = row.runs - row.finished - row.diverged
        return f"{accuracy} ({missing} missing)" if missing else accuracy

    return _grid(ranked, "Test accuracy by network", "Mean over the seeds, at the last epoch.", cell)


def _leaders(ranked: Ranked) -> Table:
    rows = []
    for one in ranked.measured:
        separated, other = leader_cells(one)
        best = (one.ranking.norm, text.percent(one.ranking.accuracy)) if one.ranking else ("-", "-")
        alike = ", ".join(f"{a} = {b}" for a, b in one.alike) or "-"
        rows.append((label(one.task, ranked.tasks), *best, separated, other, alike))
    note = (
        "Separated: paired t-tests over the seeds, Holm-adjusted for all pairs of the network. Alike: two one-sided "
        f"tests at a margin of {100 * ranked.margin:g} points, adjusted likewise."
    )
    columns = ("network", "best", "accuracy", "separated from it", "not separated", "alike")
    return Table(title="Best norm of each network", columns=columns, rows=tuple(rows), note=note, sentences=True)


def _holes(ranked: Ranked) -> Table:
    reasons: dict[tuple[str, str], list[str]] = {}
    for (task, norm), reason in ranked.holes.items():
        reasons.setdefault((norm, reason), []).append(task.network)
    rows = tuple((norm, ", ".join(dict.fromkeys(names)), reason) for (norm, reason), names in reasons.items())
    return Table(title="Norms without a run", columns=("norm", "network", "reason"), rows=rows, sentences=True)


def _shared(ranked: Ranked) -> str:
    beside = sorted({result.side_by_side for result in ranked.results})
    return f"While {' or '.join(map(str, beside))} runs shared the device." if beside != [1] else ""


def _rate(row: Aggregate) -> str:
    return text.learning_rate(float(f"{row.lr:.4g}"), row.tuned)


def _diagram(ranked: Ranked) -> Chart:
    ranks = ranked.ranks
    assert ranks is not None, "only ranks are drawn"
    places = {name: index for index, name in enumerate(ranks.names)}
    return Chart(
        name="ranks",
        title="Average ranks, with bars over norms that do not differ",
        x_label="average rank",
        y_label="average rank",
        kind="ranks",
        ticks=ranks.names,
        lines=(Line(label="average rank", x=tuple(map(float, range(len(places)))), y=ranks.ranks),),
        reference=ranks.critical_difference,
        joined=tuple((places[group[0]], places[group[-1]]) for group in ranks.groups),
    )


def _bars(ranked: Ranked) -> Chart:
    places = {norm: float(index) for index, norm in enumerate(ranked.norms)}
    lines = tuple(
        Line.of_estimates(
            label(one.task, ranked.tasks),
            [places[norm] for norm in one.rows],
            [row.test_accuracy for row in one.rows.values()],
        )
        for one in ranked.measured
    )
    return Chart(
        name="accuracy",
        title="Test accuracy by network",
        x_label="norm",
        y_label="test accuracy",
        kind="bars",
        ticks=ranked.norms,
        lines=lines,
        percent=True,
        reference=CHANCE,
    )


def _warnings(ranked: Ranked) -> list[str]:
    """Sentences on what was not equal within a network."""
    return [warning for one in ranked.measured for warning in mismatches(one.results)]


def _values(ranked: Ranked, rates: tuple[float, ...] | None) -> dict[str, Any]:
    return {
        "blocks": ranked.blocks,
        "margin": ranked.margin,
        "rates": None if rates is None else list(rates),
        "ranks": ranked.ranks and ranked.ranks.to_dict(),
        "rows": [_named(one.task) | row.to_dict() for one in ranked.measured for row in one.rows.values()],
        "pairs": [_named(one.task) | pair.to_dict() for one in ranked.measured for pair in one.pairs],
        "holes": [_named(task) | {"norm": norm, "reason": reason} for (task, norm), reason in ranked.holes.items()],
        "excluded": {
            "tasks": [_named(task) for task in ranked.excluded.tasks],
            "norms": list(ranked.excluded.norms),
            "blocks": [
                _named(task) | {"seed": seed, "missing": list(norms)} for task, seed, norms in ranked.excluded.blocks
            ],
        },
        "runs": [result.model_dump(mode="json") for result in ranked.results],
    }


def _named(task: Task) -> dict[str, Any]:
    return {"network": task.network, "batch_size": task.batch_size}
