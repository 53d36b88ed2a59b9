"""Search of every norm, with its recipe. All norms get equal budgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
import torch

from normbench.config import RunConfig
from normbench.engine import Plan
from normbench.runs import RunResult
from normbench.studies.study import StudyContext
from normbench.studies.tune.budget import Budget, budget
from normbench.studies.tune.recipe import write_recipe
from normbench.studies.tune.search import Search, search, write_journal
from normbench.studies.tune.settings import TuneSettings
from normbench.studies.tune.study import STUDY

VAL_SPLIT = 0.1
"""Fraction of the training images that is held out if the recipe holds out none."""


@dataclass(frozen=True)
class Measurement:
    """Trials of a search, and the recipe of the best settings."""

    search: Search
    recipe_file: Path
    device: torch.device

    @property
    def adaptive(self) -> bool:
        """True if trials depend on the results of earlier ones."""
        return self.search.settings.sampler == "tpe"

    @cached_property
    def budgets(self) -> Mapping[str, Budget]:
        """Accuracy by number of trials, for each norm with a finished trial."""
        seed, trials = self.search.recipe.seed, self.search.trials
        budgets = {norm: budget(of_norm, seed, adaptive=self.adaptive) for norm, of_norm in trials.items()}
        return {norm: curve for norm, curve in budgets.items() if curve is not None}


def measure(settings: TuneSettings, context: StudyContext) -> Measurement:
    """Search every norm's settings, and write the recipe of the best ones and Optuna's journal.

    Raises:
        UsageError: The sampler needs more trials, or the space does not fit the norms.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line per trial would break the progress bar
    recipe = context.load_trained_recipe(STUDY.recipe, settings.overrides())
    held_out = recipe
    if not recipe.data.val_split:
        held_out = recipe.model_copy(update={"data": recipe.data.model_copy(update={"val_split": VAL_SPLIT})})
    plans: list[Plan] = []

    def train(configs: Sequence[RunConfig]) -> Sequence[RunResult]:
        plan, results = context.train(configs, held_out)
        plans.append(plan)
        return results

    result = search(held_out, settings, train)
    folder = context.machine.out / context.experiment
    # The images that were trained on, where the recipe leaves the choice to the machine.
    images = plans[0].configs[0].data.model_copy(update={"val_split": recipe.data.val_split})
    recipe_file = write_recipe(folder, result, recipe.model_copy(update={"data": images}))
    write_journal(folder, result)
    return Measurement(result, recipe_file, plans[0].host)
