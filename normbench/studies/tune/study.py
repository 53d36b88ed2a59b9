"""Study `tune`: settings searched on equal budgets."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED, UsageError
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext
from normbench.studies.tune.settings import TuneSettings

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: TuneSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result.

    Raises:
        UsageError: A package of the `tune` extra is missing.
    """
    try:
        from normbench.studies.tune.measure import measure
        from normbench.studies.tune.tables import study_result
    except ModuleNotFoundError as error:
        if error.name not in ("optuna", "tomli_w"):
            raise
        raise UsageError(f"tune needs {error.name}", "pip install 'normbench[tune]'") from error

    return study_result(measure(settings, context))


def exit_code(result: "StudyResult") -> int:
    """Return that of a comparison with failed runs if a run failed."""
    trials = (trial for of_norm in result.values["trials"].values() for trial in of_norm)
    return SOME_RUNS_FAILED if any(run["status"] == "failed" for trial in trials for run in trial["runs"]) else 0


STUDY = Study(
    name="tune",
    question="Which settings suit each norm, searched on equal budgets?",
    help="""Search each norm's settings on equal budgets, for a recipe.

The best settings are written as a recipe for `compare --config`. Every norm has the same space ([search] of the
recipe), sampler, seed, number of trials, epochs and images. Settings are chosen on the validation split; the test
images stay unread. Trials are ordinary runs: a search that was stopped goes on, more --trials extend it, and several
processes with the same command share it.""",
    settings=TuneSettings,
    run=run,
    recipe="quick",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag not in ("lr", "weight_decay")), *DATA_FLAGS, "val_split",
        *FOLDER_FLAGS, "force", "jobs", "engine", "address", "shard", "no_capture", "track", "dry_run",
    ),
    exit_code=exit_code,
)  # fmt: skip
