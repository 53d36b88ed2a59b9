"""What a small batch costs: every norm at every batch size, over the same images, with the learning rate scaled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from normbench.analysis import Estimate, estimate
from normbench.config import Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE, check_count
from normbench.config.settings import LrScaling
from normbench.config.validation import validated
from normbench.runs import RunResult
from normbench.studies.batch_size.statistics import Statistics


@dataclass(frozen=True)
class Point:
    """One norm at one batch size, over its seeds; accuracies are fractions."""

    norm: str
    batch_size: int
    lr: float
    steps: int
    """Of the whole run."""
    accuracy: Estimate | None
    """Of the test images; where some are held out for validation, of those. None if one diverged."""
    train_accuracy: Estimate | None
    seconds: Estimate | None
    statistics: Mapping[str, Estimate]
    """By where BatchNorm's mean and variance come from: accuracy on a sample. Empty for other norms."""
    problems: tuple[str, ...]
    """What became of the runs that diverged or failed, a line each."""
    tuned: bool | None = None
    """Whether a search for this norm found the rate that is scaled to the batch; None where that is not known."""
    runs: int = 1
    diverged: int = 0


def batch_size_configs(recipe: Recipe, max_params: int) -> list[RunConfig]:
    """The runs of the study: batch sizes x norms x seeds, small batches first, since they take longest.

    With a validation split the runs are scored on it, and the test images stay unread.
    """
    check_count(len(set(recipe.sweep.batch_sizes)) * len(recipe.norms) * recipe.seeds)
    return [
        _at(recipe.run(norm, seed, max_params=max_params, read_test=not recipe.data.val_split), size, recipe)
        for size in sorted(set(recipe.sweep.batch_sizes))
        for norm in recipe.norms
        for seed in range(recipe.seed, recipe.seed + recipe.seeds)
    ]


def _at(config: RunConfig, size: int, recipe: Recipe) -> RunConfig:
    lr = scaled_lr(config.training.lr, size / recipe.training.batch_size, recipe.sweep.lr_scaling)
    settings = config.training.model_dump() | {"batch_size": size, "lr": lr}
    return config.model_copy(update={"training": validated(TrainingConfig, settings, COMMAND_LINE)})


def scaled_lr(lr: float, factor: float, scaling: LrScaling) -> float:
    """The learning rate for batches `factor` times as large; momentum is left as it is.

    `linear` keeps what an image moves the weights by (arXiv:1706.02677), `sqrt` the variance of a step
    (arXiv:1404.5997).
    """
    match scaling:
        case "linear":
            return lr * factor
        case "sqrt":
            return lr * math.sqrt(factor)
        case "none":
            return lr


def summarize_points(
    configs: Sequence[RunConfig], results: Sequence[RunResult], statistics: Mapping[str, Statistics]
) -> list[Point]:
    """One point for each norm and batch size, in the order they first appear.

    Args:
        configs: The runs as planned.
        results: What became of each, in the same order.
        statistics: By run folder, of the runs with BatchNorm.
    """
    groups: dict[tuple[str, int], list[tuple[RunConfig, RunResult]]] = {}
    for config, result in zip(configs, results, strict=True):
        groups.setdefault((config.norm, config.training.batch_size), []).append((config, result))
    return [_point(runs, statistics) for runs in groups.values()]


def _point(runs: Sequence[tuple[RunConfig, RunResult]], statistics: Mapping[str, Statistics]) -> Point:
    config, first = runs[0]
    done = [result for _, result in runs if result.status == "done"]
    diverged = sum(result.status == "diverged" for _, result in runs)
    found = [one for result in done if (one := statistics.get(result.folder or ""))]
    scored = "test_accuracy" if config.read_test else "validation_accuracy"
    return Point(
        norm=config.norm,
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        steps=first.train_images // config.training.batch_size * config.training.epochs,
        accuracy=None if diverged else _over_seeds([getattr(result, scored) for result in done]),
        train_accuracy=None if diverged else _over_seeds([result.train_accuracy for result in done]),
        seconds=_over_seeds([result.seconds for result in done]),
        statistics={} if diverged else _by_source(found),
        problems=tuple(f"seed {result.seed} {result.status}" for _, result in runs if result.status != "done"),
        tuned=config.tuned,
        runs=len(runs),
        diverged=diverged,
    )


def _over_seeds(values: Sequence[float | None]) -> Estimate | None:
    return estimate([value for value in values if value is not None])


def _by_source(found: Sequence[Statistics]) -> dict[str, Estimate]:
    measured = {source: estimate([getattr(one, source) for one in found]) for source in Statistics.SOURCES}
    return {source: value for source, value in measured.items() if value is not None}


def by_norm(points: Sequence[Point]) -> dict[str, list[Point]]:
    """The points of each norm, small batches first."""
    found: dict[str, list[Point]] = {}
    for one in points:
        found.setdefault(one.norm, []).append(one)
    return found


def by_size(points: Sequence[Point]) -> dict[int, dict[str, Point]]:
    """The points of each batch size, by norm."""
    found: dict[int, dict[str, Point]] = {}
    for one in points:
        found.setdefault(one.batch_size, {})[one.norm] = one
    return found
