"""`normbench compare`: several norms on equal terms. It also searches the settings of each norm."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import ControlOptions, PlanOptions, SelectionOptions
from normbench.cli.plan import announce, claim_experiment, part_of, question_of, show_way_back, stop_after_part
from normbench.cli.settled import stop_after_config
from normbench.errors import SOME_RUNS_FAILED, RunFailedError, UsageError, unknown

if TYPE_CHECKING:
    from normbench.config.grid import Grid


@dataclass(frozen=True, kw_only=True)
class CompareOptions(SelectionOptions, ControlOptions, PlanOptions):
    """Options of `compare`."""

    lr: flags.LearningRates = None
    weight_decay: flags.WeightDecays = None


@command
def compare(options: CompareOptions) -> None:
    """Train several norms on equal terms, and print one table.

    Network, data, epochs and batches are the same for all.

    With several --seeds a second table compares every norm with the control norm, in pairs of equal seeds: separated,
    alike (less than --margin apart, by an equivalence test), or undecided.

    With several values for --lr or --weight-decay every norm is tried with every combination, scored on the
    validation split; the test images stay unread.

    Writes results.csv, with one line per run, and (except in a search) table.md and table.tex beside the run folders:
    of the whole experiment, which more norms and seeds extend. Other settings are another experiment (--name).
    """
    options.load_torch()
    from normbench import engine, runs
    from normbench.analysis.comparison import Comparison, earlier_results
    from normbench.config.grid import Grid, comparison_configs
    from normbench.console import ProgressCallback
    from normbench.console import comparison as show
    from normbench.report import write_comparison

    output, margin = options.output(), options.margin_fraction()
    grid = Grid(options.lr or (), options.weight_decay or ())
    norms = options.selected_norms()
    recipe = options.load_recipe(options.overrides() | ({"norms": norms} if norms else {}))
    if grid.is_search and options.print_config:
        raise UsageError("a recipe has no grid: --print-config takes one --lr and one --weight-decay", "Omit the grid.")
    stop_after_config(options, recipe)
    if grid.is_search and not recipe.data.val_split:
        raise UsageError(
            "a search needs a validation split: it must not be decided on the test images",
            "Add --val-split 0.1",
        )
    with ProgressCallback(output) as progress:
        progress.stage("checking the plan")
        callback = options.callback(progress)
        recipe, plan = engine.plan_recipe(
            recipe,
            lambda recipe: comparison_configs(recipe, grid, options.budget),
            options.planning_machine(),
            options.experiment,
            progress.on_download,
            named=options.name is not None,
            leave_out_oversized=options.every,
        )
        control = options.control_norm()
        _check_control(control, list(plan.norms), grid)
        question = question_of(plan, recipe, "compare", grid.is_search)
        plan = part_of(options, claim_experiment(options, plan, question))
        if not announce(options, plan, progress):
            return
        results = engine.run_all(plan, callback, progress.on_download)
    stop_after_part(options, "compare", results)
    compared = partial(
        Comparison.of,
        control=control,
        margin=margin,
        searching=grid.is_search,
        epochs=recipe.training.epochs,
    )
    comparison = compared(results)
    folder = plan.folders[0].path.parent
    files: list[str] = []
    warnings = list(comparison.warnings)
    if runs.answers(folder, question):
        earlier = earlier_results(folder, recipe, plan.configs)
        try:
            paths = write_comparison(folder, compared([*results, *earlier]) if earlier else comparison)
            files = [str(path) for path in paths]
        except RunFailedError as error:  # the result itself can still be shown
            warnings.append(error.message)
    else:
        warnings.append(f"{folder} now belongs to another question: its tables are left as they are")
    for warning in warnings:
        output.warning(warning)
    output.result(
        show.comparison_text(comparison),
        show.comparison_document(comparison, files, [*plan.warnings, *warnings]),
        quiet=show.comparison_values(comparison),
    )
    if files:
        output.note(f"also in {folder}: {', '.join(Path(file).name for file in files)}")
    show_way_back(output, plan)
    if comparison.some_failed:
        raise typer.Exit(SOME_RUNS_FAILED)


def _check_control(control: str | None, norms: list[str], grid: "Grid") -> None:
    if control is None:
        return
    if grid.is_search:
        raise UsageError(
            "--control has no use in a search, which compares settings and leaves the test images unread",
            "Search first; then compare with the best settings.",
        )
    if control not in norms:
        raise unknown("control norm", control, norms)
