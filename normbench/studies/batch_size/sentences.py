"""Conclusions and caption of `batch-size`. Both are computed from its points."""

from collections.abc import Sequence
from itertools import groupby

from normbench import analysis
from normbench.runs import RunResult
from normbench.studies.batch_size.measure import Measurement, Point, by_norm, by_size
from normbench.studies.batch_size.statistics import Statistics


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Losses at the smallest and the largest batch, best norm per size, and the share of the running statistics."""
    points, sizes = measurement.points, list(by_size(measurement.points))
    ends = dict.fromkeys([sizes[0], sizes[-1]]) if len(sizes) > 1 else ()
    sentences = [
        *(_losses(points, size) for size in ends),
        _best_by_size(points, measurement.score),
        *_statistics(points),
        *_unfinished(points),
        *_limits(measurement.results),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def caption(measurement: Measurement) -> str:
    """Conditions of the figures: data set, network, epochs, batch sizes, seeds, device and versions."""
    recipe = measurement.recipe
    return analysis.caption(measurement.results, recipe.training.epochs, searching=bool(recipe.data.val_split))


def _losses(points: Sequence[Point], size: int) -> str:
    """Distance of each norm from its best accuracy at one batch size, the largest first."""
    losses = sorted((loss for line in by_norm(points).values() if (loss := _loss(line, size))), reverse=True)
    steps = next(point.steps for point in points if point.batch_size == size)
    return f"At batches of {size} ({steps:,} steps): {'; '.join(text for _, text in losses)}." if losses else ""


def _loss(points: Sequence[Point], size: int) -> tuple[float, str] | None:
    means = {point.batch_size: point.accuracy.mean for point in points if point.accuracy}
    if size not in means:
        return None
    best = max(means, key=means.__getitem__)
    loss, norm = means[best] - means[size], points[0].norm
    if not loss:
        return loss, f"{norm} is at its best ({_percent(means[size])})"
    reached = f"{_percent(means[size])} against {_percent(means[best])} at {best}"
    return loss, f"{norm} is {100 * loss:.1f} pp below its best ({reached})"


def _best_by_size(points: Sequence[Point], score: str) -> str:
    """The norm with the highest mean at each batch size; neighbouring sizes with the same one are put together."""
    best = [
        (size, max(means, key=means.__getitem__))
        for size, of_size in by_size(points).items()
        if (means := {norm: point.accuracy.mean for norm, point in of_size.items() if point.accuracy})
    ]
    if len(by_norm(points)) < 2 or not best:
        return ""
    stretches = [(norm, [size for size, _ in group]) for norm, group in groupby(best, key=lambda pair: pair[1])]
    parts = [f"{norm} at {sizes[0]}" + (f" to {sizes[-1]}" if sizes[1:] else "") for norm, sizes in stretches]
    return f"The highest {score} by batch size: {', '.join(parts)}."


def _statistics(points: Sequence[Point]) -> list[str]:
    """Effect of the running statistics, for each norm that has them at its smallest and its largest batch."""
    sentences = []
    for line in by_norm(points).values():
        measured = [point for point in line if point.statistics]
        for point in measured[:1] + measured[1:][-1:]:
            running, recomputed, batch = (point.statistics[source].mean for source in Statistics.SOURCES)
            gain = recomputed - running
            effect = (
                f"so {100 * gain:.1f} pp are lost to the running averages alone"
                if gain > 0
                else "so its running averages cost it nothing"
            )
            sentences.append(
                f"{point.norm} after batches of {point.batch_size}: {_percent(running)} with its running statistics, "
                f"{_percent(recomputed)} with statistics recomputed on the training images, {_percent(batch)} with the "
                f"statistics of each batch: {effect}."
            )
    return sentences


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _unfinished(points: Sequence[Point]) -> list[str]:
    unfinished = [
        f"{point.norm} at {point.batch_size} ({', '.join(point.problems)})" for point in points if point.problems
    ]
    return [f"Not finished (no mean where a run diverged): {'; '.join(unfinished)}."] if unfinished else []


def _limits(results: Sequence[RunResult]) -> list[str]:
    seeds = {result.seed for result in results}
    one_seed = ["One seed shows no spread: small differences may be chance (--seeds 3)."] if len(seeds) == 1 else []
    return [*one_seed, *analysis.format.other_images(results)]
