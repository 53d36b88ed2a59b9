"""`normbench compare`: several norms on equal terms, or a search for each norm's settings."""

from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from normbench.cli.flags import OUTPUT, SCIENCE, flags
from normbench.cli.options import MACHINE_FLAGS, Options
from normbench.cli.plan import announce, claim_experiment, question_of, stop_after_part
from normbench.errors import SOME_RUNS_FAILED, RunFailedError, UsageError, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from normbench.analysis import Comparison
    from normbench.config import Recipe
    from normbench.config.grid import Grid
    from normbench.engine import Plan


@flags(
    "all",
    "norms",
    "every",
    "control",
    "margin",
    "seeds",
    *SCIENCE,
    *MACHINE_FLAGS,
    "shard",
    "name",
    "track",
    "dry_run",
    *OUTPUT,
)
def command(options: Options) -> None:
    """Train several norms on the same network, data, epochs and batches, and print one table.

    With several --seeds a second table sets every norm against the control norm, in pairs of equal seeds: separated,
    alike (less than --margin apart, by an equivalence test), or undecided.

    With several values for --lr or --weight-decay every norm is tried with every combination, scored on the
    validation split; the test images stay unread.

    Beside the run folders lie then results.csv, with one line a run, and (not of a search) table.md and table.tex: of
    the whole experiment, which more norms and seeds extend. Other settings are another experiment (--name).
    """
    from normbench import engine, runs
    from normbench.analysis.comparison import Comparison, earlier_results
    from normbench.config.grid import Grid, comparison_configs
    from normbench.console import ProgressCallback

    output, margin = options.output(), options.margin()
    grid = Grid(options.numbers("lr"), options.numbers("weight_decay"))
    several = [name for name, values in (("lr", grid.lrs), ("weight_decay", grid.weight_decays)) if len(values) > 1]
    recipe = options.load_recipe(options.overrides(*several) | _chosen(options))
    _check_search(recipe, grid)
    configs = comparison_configs(recipe, grid, options.max_params)
    with ProgressCallback(output) as progress:
        callback = options.callback(progress)
        plan = engine.plan(
            configs,
            options.planning_machine(),
            options.experiment,
            progress.on_download,
            leave_out_oversized=bool(options["every"]),
        )
        control = options.norm_name("control")
        _check_control(control, list(plan.norms), grid)
        question = question_of(plan, recipe, "compare", grid.is_search)
        plan = claim_experiment(options, plan, question)
        if not announce(options, plan, progress):
            return
        results = engine.run_all(plan, callback, progress.on_download)
    stop_after_part(options, "compare", results)
    compare = partial(
        Comparison.of,
        control=control,
        margin=margin,
        searching=grid.is_search,
        epochs=recipe.training.epochs,
    )
    comparison = compare(results)
    folder = plan.folders[0].path.parent
    if runs.answers(folder, question):
        earlier = earlier_results(folder, recipe, plan.configs)
        whole = compare([*results, *earlier]) if earlier else comparison
        written = _written(folder, whole)
    else:
        written = [], [f"{folder} now answers another question: its tables are left as they are"]
    _show(options, plan, comparison, written)


def _show(options: Options, plan: "Plan", comparison: "Comparison", written: tuple[list[str], list[str]]) -> None:
    """Print warnings first, the tables, and where the files are."""
    from normbench.console import comparison as show

    output, (files, unwritten) = options.output(), written
    found = [*comparison.warnings, *unwritten]
    for warning in found:
        output.warning(warning)
    output.result(
        show.comparison_text(comparison),
        show.comparison_document(comparison, files, [*plan.warnings, *found]),
        quiet=show.comparison_values(comparison),
    )
    if files:
        output.note(f"also in {', '.join(files)}")
    if comparison.some_failed:
        raise typer.Exit(SOME_RUNS_FAILED)


def _written(folder: "Path", comparison: "Comparison") -> tuple[list[str], list[str]]:
    """The files that were written, and a warning if they could not be: the result itself is still to be shown."""
    from normbench.report import write_comparison

    try:
        return [str(path) for path in write_comparison(folder, comparison)], []
    except RunFailedError as error:
        return [], [error.message]


def _chosen(options: Options) -> dict[str, Any]:
    """The norms asked for, as an override of the recipe's; empty if none are."""
    return {"norms": norms} if (norms := options.norms()) else {}


def _check_search(recipe: "Recipe", grid: "Grid") -> None:
    if grid.is_search and not recipe.data.val_split:
        raise UsageError(
            "a search needs a validation split: it must not be decided on the test images",
            "Add --val-split 0.1",
        )


def _check_control(control: str | None, norms: list[str], grid: "Grid") -> None:
    if control is None:
        return
    if grid.is_search:
        raise UsageError(
            "--control has no use in a search, which compares settings and leaves the test images unread",
            "Search first; then compare with the settings it found.",
        )
    if control not in norms:
        raise unknown("control norm", control, norms)
