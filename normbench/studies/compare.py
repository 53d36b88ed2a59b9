"""Comparison: which norm is better on equal terms, and which settings of a grid suit each norm."""

from collections.abc import Sequence
from dataclasses import dataclass

from normbench.analysis import Row, best_settings, summarize
from normbench.config import Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE
from normbench.config.validation import validated
from normbench.runs import RunResult


@dataclass(frozen=True)
class Grid:
    """Learning rates and weight decays that every norm is tried with; an empty one leaves the recipe's."""

    lrs: tuple[float, ...] = ()
    weight_decays: tuple[float, ...] = ()

    @property
    def is_search(self) -> bool:
        """Whether there is more than one point to choose from."""
        return len(self.lrs) > 1 or len(self.weight_decays) > 1


@dataclass(frozen=True)
class Comparison:
    """Rows by norm (and by setting, in a search), the settings a search found, and the runs behind them."""

    rows: tuple[Row, ...]
    found: dict[str, Row]
    results: tuple[RunResult, ...]

    @property
    def some_failed(self) -> bool:
        """Whether a run diverged or failed."""
        return any(result.status != "done" for result in self.results)


def comparison_configs(recipe: Recipe, grid: Grid, max_params: int) -> list[RunConfig]:
    """The runs of a comparison: norms x grid x seeds, same seeds for every norm.

    A search is scored on the validation split and never reads the test images.
    """
    configs = []
    for norm in recipe.norms:
        for seed in range(recipe.seed, recipe.seed + recipe.seeds):
            config = recipe.run(norm, seed, max_params=max_params, read_test=not grid.is_search)
            configs += [config.model_copy(update={"training": training}) for training in _points(grid, config)]
    return configs


def _points(grid: Grid, config: RunConfig) -> list[TrainingConfig]:
    lrs = grid.lrs or (config.training.lr,)
    weight_decays = grid.weight_decays or (config.training.weight_decay,)
    settings = config.training.model_dump()
    points = [{"lr": lr, "weight_decay": decay} for lr in lrs for decay in weight_decays]
    return [validated(TrainingConfig, settings | point, COMMAND_LINE) for point in points]


def conclude(results: Sequence[RunResult], grid: Grid) -> Comparison:
    """What the runs of a comparison say."""
    rows = summarize(results)
    return Comparison(tuple(rows), best_settings(rows) if grid.is_search else {}, tuple(results))
