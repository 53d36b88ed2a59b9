"""`normbench batch-size`: accuracy against batch size, norm by norm."""

from typing import Any

import typer

from normbench.cli.announce import announce
from normbench.cli.flags import OUTPUT, SCIENCE, flags
from normbench.cli.options import MACHINE_FLAGS, Options
from normbench.cli.place import placed, question_of
from normbench.cli.study import conclude
from normbench.errors import SOME_RUNS_FAILED

RECIPE = "batch-size"
SETTINGS = [name for name in SCIENCE if name != "batch_size"]


@flags(
    "norms", "all", "every", "sizes", "scaling", "seeds", *SETTINGS, *MACHINE_FLAGS, "name", "track", "dry_run",
    *OUTPUT,
)  # fmt: skip
def command(given: Options) -> None:
    """Train every norm at every batch size over the same images, and show where accuracy falls.

    The learning rate of each norm (--lr: of all) holds for the recipe's batch size, and follows the batch by --scaling.

    With --val-split the runs are scored on the validation images, and the test images stay unread.
    """
    from normbench import engine
    from normbench.console import ProgressCallback
    from normbench.runs import RunResult
    from normbench.runs.environment import environment
    from normbench.studies.batch_size.measure import STUDY, batch_size_configs, summarize_points
    from normbench.studies.batch_size.statistics import measure_statistics
    from normbench.studies.batch_size.tables import batch_size_finding

    output = given.output()
    recipe = given.load_recipe(given.overrides() | _chosen(given), RECIPE)
    with ProgressCallback(output) as progress:
        callback = given.callback(progress)
        plan = engine.plan(
            batch_size_configs(recipe, given.max_params),
            given.planning_machine(),
            given.study_experiment(STUDY),
            progress.on_download,
            leave_out_oversized=bool(given["every"]),
        )
        plan = placed(given, plan, question_of(plan, recipe, STUDY))
        if not announce(given, plan, progress):
            return
        results = engine.run_all(plan, callback, progress.on_download)

    def on_run(result: RunResult) -> None:
        output.note(f"{result.norm} batch {result.batch_size} seed {result.seed}: scoring with other statistics")

    statistics = measure_statistics(plan.configs, results, plan.machine, plan.device, on_run)
    points = summarize_points(plan.configs, results, statistics)
    conclude(
        given, batch_size_finding(points, results, recipe, environment(plan.device)), plan.folders[0].path.parent.name
    )
    if any(result.status != "done" for result in results):
        raise typer.Exit(SOME_RUNS_FAILED)


def _chosen(given: Options) -> dict[str, Any]:
    return {"norms": norms} if (norms := given.norms()) else {}
