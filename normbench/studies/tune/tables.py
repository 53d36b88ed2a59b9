"""Result of `tune`: tables and chart."""

from collections.abc import Sequence
from typing import Any

from normbench.analysis import Chart, Line, StudyResult, Table, estimate
from normbench.analysis.format import NOTHING, percent
from normbench.config.search import Value
from normbench.runs.environment import environment
from normbench.studies.tune.budget import NEAR, near_best, shares
from normbench.studies.tune.measure import Measurement
from normbench.studies.tune.search import Search, Trial
from normbench.studies.tune.sentences import caption, conclusions
from normbench.studies.tune.space import Dimension
from normbench.studies.tune.study import STUDY


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, charts and conclusions."""
    search, budgets = measurement.search, measurement.budgets
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=(
            _best_table(search),
            *(_norm_table(search, norm) for norm in search.spaces),
            _budget_table(measurement),
        ),
        charts=tuple(_charts(measurement)),
        warnings=tuple(_warnings(search)),
        environment=environment(measurement.device),
        values={
            "sampler": search.settings.sampler,
            "recipe": str(measurement.recipe_file),
            "space": {
                norm: {d.name: d.values if isinstance(d.values, tuple) else d.values.model_dump() for d in space}
                for norm, space in search.spaces.items()
            },
            "best": {norm: _trial(best) for norm in search.trials if (best := search.best(norm))},
            "trials": {norm: [_trial(trial) for trial in trials] for norm, trials in search.trials.items()},
            "budget": {
                norm: {"expected": curve.expected, "low95": curve.low, "high95": curve.high}
                for norm, curve in budgets.items()
            },
            "share": {norm: shares(search, norm) for norm in search.trials},
        },
    )


def _warnings(search: Search) -> list[str]:
    """Describe unequal budgets, such as those of grids over different numbers of dimensions."""
    counts = {norm: len(trials) for norm, trials in search.trials.items()}
    if len(set(counts.values())) == 1:
        return []
    listed = ", ".join(f"{norm} {count}" for norm, count in counts.items())
    return [f"not an equal budget: grids of these spaces have different numbers of points ({listed})"]


def _best_table(search: Search) -> Table:
    names = list(dict.fromkeys(d.name for space in search.spaces.values() for d in space))
    rows = []
    for norm, trials in search.trials.items():
        best = search.best(norm)
        cells = [_cell(best.point.get(name)) if best else NOTHING for name in names]
        tried = f"{sum(trial.accuracy is not None and not trial.diverged for trial in trials)} of {len(trials)}"
        rows.append((norm, *cells, _accuracy(best), tried))
    note = "Finished: trials that neither diverged nor failed."
    columns = ("norm", *names, "validation accuracy", "finished")
    return Table(title="Best setting of each norm", columns=columns, rows=tuple(rows), note=note)


def _accuracy(trial: Trial | None) -> str:
    return percent(estimate(trial.accuracies)) if trial and trial.accuracies else NOTHING


def _norm_table(search: Search, norm: str) -> Table:
    """Table of the sensitivity of one norm to its settings."""
    best, explained = search.best(norm), shares(search, norm)
    near = near_best(search.trials[norm], best) if best else []
    rows = tuple(
        (
            dimension.name,
            _cell(best.point[dimension.name]) if best else NOTHING,
            _extent([trial.point[dimension.name] for trial in near]),
            f"{explained[dimension.name]:.0%}".replace("%", " %") if dimension.name in explained else NOTHING,
            _border(dimension, best),
        )
        for dimension in search.spaces[norm]
    )
    note = (
        f"Near: values of the trials at most {100 * NEAR:g} points below the best. Share: of the variance of accuracy "
        "over the space, explained by this setting (fANOVA); with few trials a rough estimate."
    )
    columns = ("setting", "best", "near the best", "share", "at the border")
    return Table(title=f"{norm}: sensitivity to its settings", columns=columns, rows=rows, note=note)


def _border(dimension: Dimension, best: Trial | None) -> str:
    end = dimension.beyond(best.point[dimension.name]) if best else None
    return f"{end[0]}: try {end[1]:g}" if end else "no"


def _extent(values: Sequence[Value]) -> str:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        return ", ".join(dict.fromkeys(map(_cell, values))) or NOTHING
    low, high = min(numbers), max(numbers)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _cell(value: Value | None) -> str:
    if value is None:
        return NOTHING
    return str(value).lower() if isinstance(value, bool | str) else f"{value:g}"


def _budget_table(measurement: Measurement) -> Table:
    budgets = measurement.budgets
    length = max((len(curve.expected) for curve in budgets.values()), default=0)
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if n < length] + [length] * bool(length)
    rows = tuple(
        (
            f"{n}",
            *(percent(curve.expected[n - 1]) if n <= len(curve.expected) else NOTHING for curve in budgets.values()),
        )
        for n in sizes
    )
    note = (
        "Of the first n trials, which tpe chose one after another."
        if measurement.adaptive
        else "Expected best of n trials drawn from all of them (arXiv:1909.03004, estimator of arXiv:2004.13705)."
    )
    title = "Best validation accuracy by number of trials"
    return Table(title=title, columns=("trials", *budgets), rows=rows, note=note)


def _charts(measurement: Measurement) -> list[Chart]:
    budgets = measurement.budgets
    if max((len(curve.expected) for curve in budgets.values()), default=0) < 2:
        return []
    lines = tuple(
        Line(
            label=norm,
            x=tuple(map(float, range(1, len(curve.expected) + 1))),
            y=curve.expected,
            low=curve.low,
            high=curve.high,
        )
        for norm, curve in budgets.items()
    )
    return [
        Chart(
            name="budget",
            title="Best so far" if measurement.adaptive else "Expected best of n trials",
            x_label="trials",
            y_label="validation accuracy",
            lines=lines,
            percent=True,
        )
    ]


def _trial(trial: Trial) -> dict[str, Any]:
    runs = [
        {"seed": run.seed, "status": run.status, "validation_accuracy": run.validation_accuracy, "folder": run.folder}
        for run in trial.runs
    ]
    return {"number": trial.number, "settings": dict(trial.point), "runs": runs}
