"""Accuracy of every norm by batch size.

Every point trains on the same images, with the learning rate scaled to the batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from normbench.analysis import Estimate, estimate
from normbench.config import Recipe, RunConfig, TrainingConfig
from normbench.config.recipes import COMMAND_LINE, check_count
from normbench.config.settings import LrScaling
from normbench.config.validation import validated
from normbench.runs import RunResult
from normbench.studies.batch_size.settings import BatchSizeSettings
from normbench.studies.batch_size.statistics import Statistics, measure_statistics
from normbench.studies.batch_size.study import STUDY
from normbench.studies.study import StudyContext


@dataclass(frozen=True)
class Point:
    """One norm at one batch size, aggregated over its seeds; accuracies are fractions."""

    norm: str
    batch_size: int
    lr: float
    steps: int
    """Optimizer steps of the whole run."""
    accuracy: Estimate | None
    """Test accuracy, or validation accuracy if images are held out; None if a run diverged."""
    train_accuracy: Estimate | None
    seconds: Estimate | None
    statistics: Mapping[str, Estimate]
    """Accuracy on a sample by source of BatchNorm's mean and variance; empty for other norms."""
    problems: tuple[str, ...]
    """A line for each run that diverged or failed."""
    tuned: bool | None = None
    """True if a search for this norm found the rate that is scaled to the batch; None if that is not known."""
    runs: int = 1
    diverged: int = 0


@dataclass(frozen=True)
class Measurement:
    """Points of the sweep, and the runs behind them."""

    points: tuple[Point, ...]
    results: tuple[RunResult, ...]
    recipe: Recipe
    device: torch.device

    @property
    def score(self) -> str:
        """Name of the accuracy that the points are compared by."""
        return "validation accuracy" if self.recipe.data.val_split else "test accuracy"


def measure(settings: BatchSizeSettings, context: StudyContext) -> Measurement:
    """Train every norm at every batch size, then score BatchNorm with other statistics."""
    recipe = context.load_trained_recipe(STUDY.recipe, settings.overrides())
    plan, results = context.train(batch_size_configs(recipe, settings.max_params), recipe)

    def on_run(result: RunResult) -> None:
        context.note(f"{result.norm} batch {result.batch_size} seed {result.seed}: scoring with other statistics")

    statistics = measure_statistics(plan.configs, results, plan.machine, plan.host, on_run)
    points = aggregate_points(plan.configs, results, statistics)
    return Measurement(tuple(points), tuple(results), recipe, plan.host)


def batch_size_configs(recipe: Recipe, max_params: int) -> list[RunConfig]:
    """Configs of batch sizes x norms x seeds, small batches first, as they take longest.

    With a validation split the runs are scored on it, and the test images stay unread.
    """
    sizes = sorted(set(recipe.sweep.batch_sizes))
    check_count(len(sizes) * len(recipe.norms) * recipe.seeds)
    configs = []
    for size in sizes:
        for norm in recipe.norms:
            for seed in range(recipe.seed, recipe.seed + recipe.seeds):
                config = recipe.run(norm, seed, max_params=max_params, read_test=not recipe.data.val_split)
                lr = scaled_lr(config.training.lr, size / recipe.training.batch_size, recipe.sweep.lr_scaling)
                settings = config.training.model_dump() | {"batch_size": size, "lr": lr}
                training = validated(TrainingConfig, settings, COMMAND_LINE)
                configs.append(config.model_copy(update={"training": training}))
    return configs


def scaled_lr(lr: float, factor: float, scaling: LrScaling) -> float:
    """Scale the learning rate to batches `factor` times as large; momentum stays as it is.

    `linear` keeps the contribution of an image to the weights (arXiv:1706.02677), `sqrt` the variance of a step
    (arXiv:1404.5997).
    """
    match scaling:
        case "linear":
            return lr * factor
        case "sqrt":
            return lr * math.sqrt(factor)
        case "none":
            return lr


def aggregate_points(
    configs: Sequence[RunConfig], results: Sequence[RunResult], statistics: Mapping[str, Statistics]
) -> list[Point]:
    """Aggregate runs to one point per norm and batch size, in the order in which these first appear.

    Args:
        configs: Runs as planned.
        results: Their results, in the same order.
        statistics: Of runs with BatchNorm, by run folder.
    """
    groups: dict[tuple[str, int], list[tuple[RunConfig, RunResult]]] = {}
    for config, result in zip(configs, results, strict=True):
        groups.setdefault((config.norm, config.training.batch_size), []).append((config, result))
    return [_point(runs, statistics) for runs in groups.values()]


def _point(runs: Sequence[tuple[RunConfig, RunResult]], statistics: Mapping[str, Statistics]) -> Point:
    config, first = runs[0]
    done = [result for _, result in runs if result.status == "done"]
    diverged = sum(result.status == "diverged" for _, result in runs)

    def over_seeds(name: str) -> Estimate | None:
        return estimate([value for result in done if (value := getattr(result, name)) is not None])

    scores = [score for result in done if (score := statistics.get(result.folder or ""))]
    by_source = {source: estimate([getattr(score, source) for score in scores]) for source in Statistics.SOURCES}
    return Point(
        norm=config.norm,
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        steps=first.train_images // config.training.batch_size * config.training.epochs,
        accuracy=None if diverged else over_seeds("test_accuracy" if config.read_test else "validation_accuracy"),
        train_accuracy=None if diverged else over_seeds("train_accuracy"),
        seconds=over_seeds("seconds"),
        statistics={} if diverged else {source: value for source, value in by_source.items() if value is not None},
        problems=tuple(f"seed {result.seed} {result.status}" for _, result in runs if result.status != "done"),
        tuned=config.tuned,
        runs=len(runs),
        diverged=diverged,
    )


def by_norm(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Group points by norm, small batches first."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.norm, []).append(point)
    return groups


def by_size(points: Sequence[Point]) -> dict[int, dict[str, Point]]:
    """Group points by batch size, then by norm."""
    groups: dict[int, dict[str, Point]] = {}
    for point in points:
        groups.setdefault(point.batch_size, {})[point.norm] = point
    return groups
