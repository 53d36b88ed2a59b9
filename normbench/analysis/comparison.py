"""Comparison: which norm is better on equal terms, and which settings of a grid suit each norm."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
from normbench.config.recipes import COMMAND_LINE, check_count
from normbench.config.validation import validated
from normbench.errors import UsageError
from normbench.norms import NORMS, norm_info
from normbench.runs import RunResult, list_experiment


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
    check_count(len(recipe.norms) * recipe.seeds * max(1, len(grid.lrs)) * max(1, len(grid.weight_decays)))
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


def earlier_results(folder: Path, recipe: Recipe, configs: Sequence[RunConfig]) -> list[RunResult]:
    """The results of runs that lie beside those of a comparison and answer the same question, in a settled order.

    Args:
        folder: Of the experiment.
        recipe: Of the comparison.
        configs: Of its own runs, which are left out, as are those of earlier code of their norms.
    """
    own = {config.fingerprint for config in configs}
    code = {config.norm: config.norm_source for config in configs}
    found = [
        entry.result
        for entry in list_experiment(folder)
        if entry.result is not None
        and entry.config is not None
        and entry.config.fingerprint not in own
        and entry.config.norm_source == code.get(entry.config.norm, entry.config.norm_source)
        and _is_of(entry.config, recipe, configs[0])
    ]
    order = list(NORMS)
    return sorted(found, key=lambda r: (order.index(r.norm) if r.norm in order else len(order), r.norm, r.seed, r.lr))


def _is_of(config: RunConfig, recipe: Recipe, example: RunConfig) -> bool:
    """Whether a run is one of the recipe's, of any norm and seed; in a search at any rate and decay."""
    try:
        current = {"norm_revision": norm_info(config.norm).revision, "norm_source": config.norm_source}
        expected = recipe.run(config.norm, config.seed, read_test=example.read_test)
    except UsageError:
        return False
    fixed = {"data": example.data, "max_params": config.max_params, "tuned": config.tuned} | current
    if not example.read_test:
        rates = {"lr": config.training.lr, "weight_decay": config.training.weight_decay}
        fixed["training"] = expected.training.model_copy(update=rates)
    return expected.model_copy(update=fixed) == config


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
