"""Comparison: which norm is better on equal terms, and which settings of a grid suit each norm."""

from collections.abc import Sequence
from dataclasses import dataclass

from normbench.analysis import (
    MARGIN,
    PairedDifference,
    Row,
    Sensitivity,
    Target,
    best_settings,
    mixed,
    paired_differences,
    searched,
    summarize,
    targets,
    uneven_seeds,
)
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
    """Rows by norm (and by setting, in a search), what follows from them, and the runs behind them."""

    rows: tuple[Row, ...]
    found: dict[str, Row]
    """The settings a search found, by norm; empty unless it was one."""
    differences: tuple[PairedDifference, ...]
    """Every other norm against the control; empty in a search, which leaves the test images unread."""
    sensitivity: tuple[tuple[Sensitivity, ...], ...]
    """In a search: of each setting with several values the curves, norm by norm."""
    targets: tuple[Target, ...]
    results: tuple[RunResult, ...]
    searching: bool
    warnings: tuple[str, ...]
    """What was not equal among the runs, a sentence each."""

    @property
    def some_failed(self) -> bool:
        """Whether a run diverged or failed."""
        return any(result.status != "done" for result in self.results)

    @property
    def is_paired(self) -> bool:
        """Whether a norm shares at least two finished seeds with the control, so that differences have a spread."""
        return any(len(difference.seeds) > 1 for difference in self.differences)


def comparison_configs(recipe: Recipe, grid: Grid, max_params: int) -> list[RunConfig]:
    """The runs of a comparison: norms x grid x seeds, same seeds for every norm.

    A search is scored on the validation split and never reads the test images.
    """
    configs = []
    for norm in recipe.norms:
        for seed in range(recipe.seed, recipe.seed + recipe.seeds):
            known = {"tuned": None} if grid.is_search else {}
            config = recipe.run(norm, seed, max_params=max_params, read_test=not grid.is_search, **known)
            configs += [config.model_copy(update={"training": training}) for training in _points(grid, config)]
    return configs


def _points(grid: Grid, config: RunConfig) -> list[TrainingConfig]:
    lrs = grid.lrs or (config.training.lr,)
    weight_decays = grid.weight_decays or (config.training.weight_decay,)
    settings = config.training.model_dump()
    points = [{"lr": lr, "weight_decay": decay} for lr in lrs for decay in weight_decays]
    return [validated(TrainingConfig, settings | point, COMMAND_LINE) for point in points]


def conclude(
    results: Sequence[RunResult], grid: Grid, control: str | None = None, margin: float = MARGIN
) -> Comparison:
    """What the runs of a comparison say; differences are to the norm `control`, or to the first one.

    Norms that differ by less than `margin`, a fraction, may be called alike.

    Raises:
        UsageError: No run has the control norm.
        RunFailedError: The epochs that a run wrote down cannot be read.
    """
    rows = summarize(results)
    return Comparison(
        rows=tuple(rows),
        found=best_settings(rows) if grid.is_search else {},
        differences=() if grid.is_search else tuple(paired_differences(results, control, margin)),
        sensitivity=tuple(map(tuple, searched(rows))) if grid.is_search else (),
        targets=tuple(targets(results)),
        results=tuple(results),
        searching=grid.is_search,
        warnings=tuple(mixed(results) + ([] if grid.is_search else uneven_seeds(results))),
    )
