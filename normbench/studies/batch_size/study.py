"""Study `batch-size`: accuracy by batch size."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED
from normbench.studies.batch_size.settings import BatchSizeSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: BatchSizeSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.batch_size.measure import measure
    from normbench.studies.batch_size.tables import study_result

    return study_result(measure(settings, context))


def exit_code(result: "StudyResult") -> int:
    """Return that of a comparison with failed runs if a run diverged or failed."""
    return SOME_RUNS_FAILED if any(point["problems"] for point in result.values["points"]) else 0


STUDY = Study(
    name="batch-size",
    question="What does a small batch cost, and which norms suffer?",
    help="""Train every norm at every batch size over the same images.

The learning rate of each norm (--lr: of all) is that for the recipe's batch size; --scaling adapts it to the batch.

With --val-split the runs are scored on the validation images, and the test images stay unread.""",
    settings=BatchSizeSettings,
    run=run,
    recipe="batch-size",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag != "batch_size"), "seeds", *DATA_FLAGS, "val_split", *FOLDER_FLAGS,
        "force", "jobs", "engine", "address", "shard", "no_capture", "track", "dry_run",
    ),
    exit_code=exit_code,
)  # fmt: skip
