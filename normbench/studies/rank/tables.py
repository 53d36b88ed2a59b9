"""Result of `rank`: tables and diagrams."""

from collections.abc import Callable
from typing import Any

from normbench.analysis import Aggregate, Chart, Line, StudyResult, Table, mismatches
from normbench.analysis import format as text
from normbench.runs.environment import environment
from normbench.studies.rank.measure import Measurement
from normbench.studies.rank.runs import Task, group_holes
from normbench.studies.rank.sentences import caption, conclusions, label, leader_cells, rates_note
from normbench.studies.rank.study import STUDY

CHANCE = 0.1
"""Accuracy of guessing among the ten classes that each data set here has."""
NOT_POSSIBLE = "not possible"


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a ranking."""
    note = rates_note(measurement)
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=tuple(conclusions(measurement)),
        caption=caption(measurement),
        tables=(
            _ranks(measurement),
            _accuracies(measurement),
            _leaders(measurement),
            _grid(
                measurement,
                "Learning rate by network",
                note,
                lambda row: text.learning_rate(float(f"{row.lr:.4g}"), row.tuned),
            ),
            _grid(measurement, "Parameters by network", "", lambda row: f"{row.parameters:,}"),
            _grid(
                measurement,
                "Seconds of training per run",
                _shared(measurement),
                lambda row: text.figure(row.seconds, 1),
            ),
            *([_holes(measurement)] if measurement.holes else []),
        ),
        charts=(*([_diagram(measurement)] if measurement.ranks else []), _bars(measurement)),
        warnings=tuple(  # what was not equal within a network
            dict.fromkeys(warning for result in measurement.by_task for warning in mismatches(result.results))
        ),
        environment=environment(measurement.device),
        values=_values(measurement),
    )


def _ranks(measurement: Measurement) -> Table:
    ranks = measurement.ranks
    columns = ("norm", "average rank", "first in", "diverged", "group")
    if ranks is None:
        return Table(title="Average ranks", columns=columns, rows=(), note="No block has a run of every norm.")
    rows = tuple(
        (norm, f"{rank:.2f}", f"{first:.3g}", str(_diverged(measurement, norm)), ranks.letters[norm])
        for norm, rank, first in zip(ranks.names, ranks.ranks, ranks.first, strict=True)
    )
    note = (
        f"1 is the best of a block; {ranks.blocks} blocks. Norms with a letter in common do not differ: Nemenyi's test "
        f"at 0.05, critical difference {ranks.critical_difference:.2f}, where Friedman's test rejects (Demšar, JMLR 7 "
        "(2006), 1-30). A diverged run is the worst of its block."
    )
    return Table(title="Average ranks", columns=columns, rows=rows, note=note)


def _diverged(measurement: Measurement, norm: str) -> int:
    return sum(task_result.rows[norm].diverged for task_result in measurement.by_task if norm in task_result.rows)


def _grid(measurement: Measurement, title: str, note: str, cell: Callable[[Aggregate], str]) -> Table:
    """Table with a row per norm and a column per task."""
    rows = tuple(
        (
            norm,
            *(
                _cell(measurement, task_result.task, task_result.rows.get(norm), cell)
                for task_result in measurement.by_task
            ),
        )
        for norm in measurement.norms
    )
    columns = ("norm", *(label(task, measurement.tasks) for task in measurement.tasks))
    return Table(title=title, columns=columns, rows=rows, note=note)


def _cell(measurement: Measurement, task: Task, row: Aggregate | None, cell: Callable[[Aggregate], str]) -> str:
    if row is not None:
        return cell(row)
    return NOT_POSSIBLE if any(hole == task for hole, _ in measurement.holes) else text.NOTHING


def _accuracies(measurement: Measurement) -> Table:
    def cell(row: Aggregate) -> str:
        accuracy = text.accuracy(row.test_accuracy, row.diverged, row.runs)
        missing = row.runs - row.finished - row.diverged
        return f"{accuracy} ({missing} missing)" if missing else accuracy

    return _grid(measurement, "Test accuracy by network", "Mean over the seeds, at the last epoch.", cell)


def _leaders(measurement: Measurement) -> Table:
    rows = []
    for task_result in measurement.by_task:
        separated, other = leader_cells(task_result)
        best = (
            (task_result.ranking.norm, text.percent(task_result.ranking.accuracy))
            if task_result.ranking
            else ("-", "-")
        )
        alike = ", ".join(f"{a} = {b}" for a, b in task_result.alike) or "-"
        rows.append((label(task_result.task, measurement.tasks), *best, separated, other, alike))
    note = (
        "Separated: paired t-tests over the seeds, Holm-adjusted for all pairs of the network. Alike: two one-sided "
        f"tests at a margin of {100 * measurement.margin:g} points, adjusted likewise."
    )
    columns = ("network", "best", "accuracy", "separated from it", "not separated", "alike")
    return Table(title="Best norm of each network", columns=columns, rows=tuple(rows), note=note, sentences=True)


def _holes(measurement: Measurement) -> Table:
    holes = group_holes(measurement.holes)
    rows = tuple((", ".join(hole.norms), ", ".join(hole.networks), hole.text) for hole in holes)
    return Table(title="Norms without a run", columns=("norms", "networks", "reason"), rows=rows, sentences=True)


def _shared(measurement: Measurement) -> str:
    beside = sorted({result.side_by_side for result in measurement.results})
    return f"While {' or '.join(map(str, beside))} runs shared the device." if beside != [1] else ""


def _diagram(measurement: Measurement) -> Chart:
    ranks = measurement.ranks
    assert ranks is not None, "only ranks are drawn"
    indices = {name: index for index, name in enumerate(ranks.names)}
    return Chart(
        name="ranks",
        title="Average ranks, with bars over norms that do not differ",
        x_label="average rank",
        y_label="average rank",
        kind="ranks",
        ticks=ranks.names,
        lines=(Line(label="average rank", x=tuple(map(float, range(len(indices)))), y=ranks.ranks),),
        reference=ranks.critical_difference,
        joined=tuple((indices[group[0]], indices[group[-1]]) for group in ranks.groups),
    )


def _bars(measurement: Measurement) -> Chart:
    indices = {norm: float(index) for index, norm in enumerate(measurement.norms)}
    lines = tuple(
        Line.of_estimates(
            label(task_result.task, measurement.tasks),
            [indices[norm] for norm in task_result.rows],
            [row.test_accuracy for row in task_result.rows.values()],
        )
        for task_result in measurement.by_task
    )
    return Chart(
        name="accuracy",
        title="Test accuracy by network",
        x_label="norm",
        y_label="test accuracy",
        kind="bars",
        ticks=measurement.norms,
        lines=lines,
        percent=True,
        reference=CHANCE,
    )


def _values(measurement: Measurement) -> dict[str, Any]:
    return {
        "blocks": measurement.settings.blocks,
        "margin": measurement.margin,
        "rates": measurement.settings.rates and list(measurement.settings.rates),
        "ranks": measurement.ranks and measurement.ranks.to_dict(),
        "rows": [
            _named(task_result.task) | row.to_dict()
            for task_result in measurement.by_task
            for row in task_result.rows.values()
        ],
        "pairs": [
            _named(task_result.task) | pair.to_dict()
            for task_result in measurement.by_task
            for pair in task_result.pairs
        ],
        "holes": [
            _named(task) | {"norm": norm, "reason": reason} for (task, norm), reason in measurement.holes.items()
        ],
        "excluded": {
            "tasks": [_named(task) for task in measurement.excluded.tasks],
            "norms": list(measurement.excluded.norms),
            "blocks": [
                _named(task) | {"seed": seed, "missing": list(norms)}
                for task, seed, norms in measurement.excluded.blocks
            ],
        },
        "runs": [result.model_dump(mode="json") for result in measurement.results],
    }


def _named(task: Task) -> dict[str, Any]:
    return {"network": task.network, "batch_size": task.batch_size}
