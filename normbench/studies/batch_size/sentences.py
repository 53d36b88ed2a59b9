"""What the points of `batch-size` say, in sentences; each is computed from the figures."""

from collections.abc import Sequence
from itertools import groupby

from normbench.runs import RunResult
from normbench.studies.batch_size.measure import Point, by_norm, by_size
from normbench.studies.batch_size.statistics import Statistics


def conclusions(points: Sequence[Point], results: Sequence[RunResult], scored: str) -> list[str]:
    """Who loses how much at either end, who leads where, and what BatchNorm's running statistics have to do with it."""
    sizes = list(by_size(points))
    ends = [_end(points, size) for size in dict.fromkeys([sizes[0], sizes[-1]])] if len(sizes) > 1 else []
    told = [*ends, _leaders(points, scored), *_statistics(points), *_lost(points), *_limits(results)]
    return [sentence for sentence in told if sentence]


def _end(points: Sequence[Point], size: int) -> str:
    """How far each norm is below its best at one end of the batch sizes, the greatest loss first."""
    losses = sorted((found for own in by_norm(points).values() if (found := _loss(own, size))), reverse=True)
    steps = next(one.steps for one in points if one.batch_size == size)
    return f"At batches of {size} ({steps:,} steps): {'; '.join(text for _, text in losses)}." if losses else ""


def _loss(points: Sequence[Point], size: int) -> tuple[float, str] | None:
    measured = {one.batch_size: one.accuracy.mean for one in points if one.accuracy}
    if size not in measured:
        return None
    best = max(measured, key=measured.__getitem__)
    loss, norm = measured[best] - measured[size], points[0].norm
    if not loss:
        return loss, f"{norm} is at its best ({_percent(measured[size])})"
    reached = f"{_percent(measured[size])} against {_percent(measured[best])} at {best}"
    return loss, f"{norm} is {100 * loss:.1f} pp below its best ({reached})"


def _leaders(points: Sequence[Point], scored: str) -> str:
    """The norm with the highest mean at each batch size; neighbouring sizes with one leader are told together."""
    leaders = [
        (size, max(measured, key=measured.__getitem__))
        for size, at in by_size(points).items()
        if (measured := {norm: one.accuracy.mean for norm, one in at.items() if one.accuracy})
    ]
    if len(by_norm(points)) < 2 or not leaders:
        return ""
    stretches = [(norm, [size for size, _ in own]) for norm, own in groupby(leaders, key=lambda one: one[1])]
    told = [f"{norm} at {sizes[0]}" + (f" to {sizes[-1]}" if sizes[1:] else "") for norm, sizes in stretches]
    return f"The highest {scored} by batch size: {', '.join(told)}."


def _statistics(points: Sequence[Point]) -> list[str]:
    """Of each norm with running statistics, at its smallest and at its largest batch: what these are to blame for."""
    measured = [[one for one in own if one.statistics] for own in by_norm(points).values()]
    ends = [one for own in measured for one in own[:1] + own[1:][-1:]]
    return [_blame(one) for one in ends]


def _blame(one: Point) -> str:
    running, anew, own = (one.statistics[source] for source in Statistics.SOURCES)
    gain = anew.mean - running.mean
    verdict = (
        f"so {100 * gain:.1f} pp are lost to the running averages alone"
        if gain > 0
        else "so its running averages cost it nothing"
    )
    return (
        f"{one.norm} after batches of {one.batch_size}: {_percent(running.mean)} with its running statistics, "
        f"{_percent(anew.mean)} with statistics recomputed on the training images, {_percent(own.mean)} with each "
        f"batch's own: {verdict}."
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _lost(points: Sequence[Point]) -> list[str]:
    lost = [f"{one.norm} at {one.batch_size} ({', '.join(one.problems)})" for one in points if one.problems]
    return [f"Not finished, and a point without a mean where one diverged: {'; '.join(lost)}."] if lost else []


def _limits(results: Sequence[RunResult]) -> list[str]:
    one_seed = len({result.seed for result in results}) == 1
    digits = results[0].dataset != "cifar10"
    return [
        *(["One seed shows no spread: small differences may be chance (--seeds 3)."] if one_seed else []),
        *(["The images are the embedded digits, not CIFAR-10, and tell little of other images."] if digits else []),
    ]
