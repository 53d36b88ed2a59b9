"""Result of `tune`: settings, budget, trials, sensitivity."""

from collections.abc import Sequence
from typing import Any

from normbench.analysis import Chart, Line, StudyResult, Table, caption, estimate
from normbench.analysis.format import NOTHING, percent
from normbench.config.search import Value
from normbench.studies.tune.budget import NEAR, Budget, budget, near_best, shares
from normbench.studies.tune.search import Search, Trial
from normbench.studies.tune.sentences import conclusions
from normbench.studies.tune.space import Dimension
from normbench.studies.tune.study import STUDY

SHOWN = 5
"""Trials of each norm in the table of the best."""


def tune_result(found: Search, recipe_file: str, environment: dict[str, Any]) -> StudyResult:
    """Lay out a search; `environment` is that of the process, command line included."""
    adaptive = found.settings.sampler == "tpe"
    curves = {norm: budget(own, found.recipe.seed, adaptive=adaptive) for norm, own in found.trials.items()}
    budgets = {norm: curve for norm, curve in curves.items() if curve is not None}
    runs = [run for own in found.trials.values() for trial in own for run in trial.runs]
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=(*conclusions(found, budgets), f"The best settings are in {recipe_file}."),
        caption=caption(runs, found.recipe.training.epochs, searching=True),
        tables=(_best_table(found), *(_norm_table(found, norm) for norm in found.spaces), _budget_table(budgets)),
        charts=tuple(_charts(budgets, adaptive)),
        warnings=tuple(_warnings(found)),
        environment=environment,
        values=_values(found, budgets, recipe_file),
    )


def _warnings(found: Search) -> list[str]:
    """Budgets that differ, as those of grids over more or fewer dimensions do."""
    counts = {norm: len(own) for norm, own in found.trials.items()}
    if len(set(counts.values())) == 1:
        return []
    listed = ", ".join(f"{norm} {count}" for norm, count in counts.items())
    return [f"not an equal budget: grids of these spaces have different numbers of points ({listed})"]


def _best_table(found: Search) -> Table:
    names = list(dict.fromkeys(d.name for space in found.spaces.values() for d in space))
    rows = []
    for norm, own in found.trials.items():
        best = found.best(norm)
        cells = [_cell(best.point.get(name)) if best else NOTHING for name in names]
        tried = f"{sum(trial.accuracy is not None and not trial.diverged for trial in own)} of {len(own)}"
        rows.append((norm, *cells, _accuracy(best), tried))
    note = "Finished: trials that neither diverged nor failed."
    columns = ("norm", *names, "validation accuracy", "finished")
    return Table(title="Best setting of each norm", columns=columns, rows=tuple(rows), note=note)


def _accuracy(trial: Trial | None) -> str:
    return percent(estimate(trial.accuracies)) if trial and trial.accuracies else NOTHING


def _norm_table(found: Search, norm: str) -> Table:
    """Sensitivity of the accuracy of one norm to its settings."""
    best, explained = found.best(norm), shares(found, norm)
    near = near_best(found.trials[norm], best) if best else []
    rows = tuple(
        (
            dimension.name,
            _cell(best.point[dimension.name]) if best else NOTHING,
            _extent([trial.point[dimension.name] for trial in near]),
            f"{explained[dimension.name]:.0%}".replace("%", " %") if dimension.name in explained else NOTHING,
            _border(dimension, best),
        )
        for dimension in found.spaces[norm]
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


def _budget_table(budgets: dict[str, Budget]) -> Table:
    length = max((len(curve.expected) for curve in budgets.values()), default=0)
    sizes = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if n < length] + [length] * bool(length)
    rows = tuple(
        (
            f"{n}",
            *(percent(curve.expected[n - 1]) if n <= len(curve.expected) else NOTHING for curve in budgets.values()),
        )
        for n in sizes
    )
    note = "Of n trials drawn from those that were made (arXiv:1909.03004, estimator of arXiv:2004.13705)."
    adaptive = any(curve.low is None for curve in budgets.values())
    note = "Of the first n trials, which tpe chose one after another." if adaptive else note
    title = "Best validation accuracy by number of trials"
    return Table(title=title, columns=("trials", *budgets), rows=rows, note=note)


def _charts(budgets: dict[str, Budget], adaptive: bool) -> list[Chart]:
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
            title="Best so far" if adaptive else "Expected best of n trials",
            x_label="trials",
            y_label="validation accuracy",
            lines=lines,
            percent=True,
        )
    ]


def _values(found: Search, budgets: dict[str, Budget], recipe_file: str) -> dict[str, Any]:
    return {
        "sampler": found.settings.sampler,
        "recipe": recipe_file,
        "space": {
            norm: {d.name: d.values if isinstance(d.values, tuple) else d.values.model_dump() for d in space}
            for norm, space in found.spaces.items()
        },
        "best": {norm: _trial(best) for norm in found.trials if (best := found.best(norm))},
        "trials": {norm: [_trial(trial) for trial in own] for norm, own in found.trials.items()},
        "budget": {
            norm: {"expected": curve.expected, "low95": curve.low, "high95": curve.high}
            for norm, curve in budgets.items()
        },
        "share": {norm: shares(found, norm) for norm in found.trials},
    }


def _trial(trial: Trial) -> dict[str, Any]:
    runs = [
        {"seed": run.seed, "status": run.status, "validation_accuracy": run.validation_accuracy, "folder": run.folder}
        for run in trial.runs
    ]
    return {"number": trial.number, "settings": dict(trial.point), "runs": runs}
