"""Study `tune`: settings searched on equal budgets."""

from typing import TYPE_CHECKING

from normbench.errors import SOME_RUNS_FAILED, UsageError
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext
from normbench.studies.tune.settings import TuneSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from normbench.analysis import StudyResult
    from normbench.config import RunConfig
    from normbench.engine import Plan
    from normbench.runs import RunResult

VAL_SPLIT = 0.1
"""Share of the training images held out where the recipe holds out none."""


def run(settings: TuneSettings, context: StudyContext) -> "StudyResult":
    """Search every norm's settings, write the recipe of the best ones, and lay out the trials."""
    try:
        import optuna
        import tomli_w  # noqa: F401
    except ImportError as error:
        raise UsageError(f"tune needs {error.name}", "pip install 'normbench[tune]'") from error
    from normbench.runs.environment import environment
    from normbench.studies.tune.recipe import write_recipe
    from normbench.studies.tune.search import search, write_journal
    from normbench.studies.tune.tables import tune_result

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line per trial would break the progress bar
    recipe = context.load_recipe(STUDY.recipe, settings.overrides())
    held_out = recipe
    if not recipe.data.val_split:
        held_out = context.load_recipe(STUDY.recipe, settings.overrides() | {"data": {"val_split": VAL_SPLIT}})
    plans: list[Plan] = []

    def train(configs: "Sequence[RunConfig]") -> "Sequence[RunResult]":
        plan, results = context.train(configs, held_out)
        plans.append(plan)
        return results

    found = search(held_out, settings, train)
    folder = context.machine.out / context.experiment
    settled = recipe.model_copy(update={"data": recipe.data.model_copy(update={"name": plans[0].configs[0].data.name})})
    path = write_recipe(folder, found, settled)
    write_journal(folder, found)
    return tune_result(found, str(path), environment(plans[0].device))


def _exit_code(result: "StudyResult") -> int:
    runs = (run for own in result.values["trials"].values() for trial in own for run in trial["runs"])
    return SOME_RUNS_FAILED if any(run["status"] == "failed" for run in runs) else 0


STUDY = Study(
    name="tune",
    question="Which settings suit each norm, searched on equal budgets?",
    help="""Search each norm's settings on equal budgets, and write the best ones as a recipe for `compare --config`.

Every norm has the same space ([search] of the recipe), sampler, seed, number of trials, epochs and images. Settings are
chosen on the validation split; the test images stay unread. Trials are ordinary runs: a search that was stopped goes
on, more --trials extend it, and several processes with the same command share it.""",
    settings=TuneSettings,
    run=run,
    recipe="quick",
    flags=(
        *(flag for flag in RECIPE_FLAGS if flag not in ("lr", "weight_decay")), *DATA_FLAGS, "val_split",
        *FOLDER_FLAGS, "force", "jobs", "shard", "no_capture", "track", "dry_run",
    ),
    exit_code=_exit_code,
)  # fmt: skip
