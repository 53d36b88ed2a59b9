"""The study `batch-size`: accuracy by batch size, norm by norm."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED
from normbench.studies.batch_size.settings import BatchSizeSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult
    from normbench.runs import RunResult


def run(settings: BatchSizeSettings, context: StudyContext) -> "StudyResult":
    """Train every norm at every batch size, and score BatchNorm with other statistics."""
    from normbench.runs.environment import environment
    from normbench.studies.batch_size.measure import batch_size_configs, summarize_points
    from normbench.studies.batch_size.statistics import measure_statistics
    from normbench.studies.batch_size.tables import batch_size_result

    recipe = context.load_recipe(STUDY.recipe, settings.overrides())
    plan, results = context.train(batch_size_configs(recipe, settings.max_params), recipe)

    def on_run(result: "RunResult") -> None:
        context.note(f"{result.norm} batch {result.batch_size} seed {result.seed}: scoring with other statistics")

    statistics = measure_statistics(plan.configs, results, plan.machine, plan.device, on_run)
    points = summarize_points(plan.configs, results, statistics)
    return batch_size_result(points, results, recipe, environment(plan.device))


def _exit_code(result: "StudyResult") -> int:
    return SOME_RUNS_FAILED if any(point["problems"] for point in result.values["points"]) else 0


STUDY = Study(
    name="batch-size",
    question="What does a small batch cost, and which norms suffer?",
    help="""Train every norm at every batch size over the same images, and show where accuracy falls.

The learning rate of each norm (--lr: of all) holds for the recipe's batch size, and follows the batch by --scaling.

With --val-split the runs are scored on the validation images, and the test images stay unread.""",
    settings=BatchSizeSettings,
    run=run,
    recipe="batch-size",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag != "batch_size"), "seeds", *DATA_FLAGS, "val_split", *FOLDER_FLAGS,
        "force", "jobs", "no_capture", "track", "dry_run",
    ),
    exit_code=_exit_code,
)  # fmt: skip
