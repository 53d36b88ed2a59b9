"""Grid of learning rates and weight decays. From it follow the runs of a comparison or a search."""

from dataclasses import dataclass

from normbench.config.recipes import COMMAND_LINE, Recipe, check_count
from normbench.config.settings import RunConfig, TrainingConfig
from normbench.config.validation import validated


@dataclass(frozen=True)
class Grid:
    """Learning rates and weight decays that every norm is tried with; an empty tuple leaves the recipe's."""

    lrs: tuple[float, ...] = ()
    weight_decays: tuple[float, ...] = ()

    @property
    def is_search(self) -> bool:
        """True if there is more than one point to choose from."""
        return len(self.lrs) > 1 or len(self.weight_decays) > 1


def comparison_configs(recipe: Recipe, grid: Grid, max_params: int) -> list[RunConfig]:
    """Runs of a comparison: norms x grid x seeds, with the same seeds for every norm.

    A search is scored on the validation split and never reads the test images.

    Raises:
        UsageError: There are too many runs, or a point of the grid is invalid.
    """
    check_count(len(recipe.norms) * recipe.seeds * max(1, len(grid.lrs)) * max(1, len(grid.weight_decays)))
    configs = []
    for norm in recipe.norms:
        for seed in range(recipe.seed, recipe.seed + recipe.seeds):
            tuned = {"tuned": None} if grid.is_search else {}
            config = recipe.run(norm, seed, max_params=max_params, read_test=not grid.is_search, **tuned)
            configs += [config.model_copy(update={"training": training}) for training in _points(grid, config)]
    return configs


def _points(grid: Grid, config: RunConfig) -> list[TrainingConfig]:
    lrs = grid.lrs or (config.training.lr,)
    weight_decays = grid.weight_decays or (config.training.weight_decay,)
    settings = config.training.model_dump()
    points = [{"lr": lr, "weight_decay": decay} for lr in lrs for decay in weight_decays]
    return [validated(TrainingConfig, settings | point, COMMAND_LINE) for point in points]
