"""Study `claims`: five claimed benefits of norms."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED
from normbench.studies.claims.settings import ClaimsSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: ClaimsSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.claims.measure import measure
    from normbench.studies.claims.tables import study_result

    return study_result(measure(settings, context))


def exit_code(result: "StudyResult") -> int:
    """Return that of a comparison with failed runs if a run failed; a diverged one is part of the answer."""
    return SOME_RUNS_FAILED if result.values.get("failed") else 0


def variant(settings: ClaimsSettings) -> str:
    """Suffix of the folder of the notebook's networks."""
    return "notebook" if settings.notebook else ""


STUDY = Study(
    name="claims",
    question="Which of the benefits that are claimed of norms can be measured?",
    help="""Measure five claimed benefits of norms, each against no norm.

Faster convergence, larger learning rates, less sensitivity to initialisation, regularization, and stable gradients.
Every norm, and none, is trained at each of --rates; its best rate by validation accuracy is used for the other claims.
A claim holds for a norm if its figure is better than that of `none` over the same seeds, by a paired t-test at 0.05
with Holm's adjustment. The test images stay unread. Run again, it goes on where it stopped.

The best rates settle the other runs: with --shard those are trained once every part of the first ones is finished.""",
    settings=ClaimsSettings,
    run=run,
    recipe="claims",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag not in ("lr", "weight_decay")), "seeds", *DATA_FLAGS, "val_split",
        *FOLDER_FLAGS, "force", "jobs", "engine", "address", "shard", "no_capture", "track", "dry_run",
    ),
    variant=variant,
    exit_code=exit_code,
)  # fmt: skip
