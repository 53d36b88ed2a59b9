"""What the points of `batch-size` say, in sentences; each is computed from the figures."""

from collections.abc import Sequence
from itertools import groupby

from normbench.analysis import Estimate
from normbench.runs import RunResult
from normbench.studies.batch_size import Point, by_norm, by_size


def answer(points: Sequence[Point], results: Sequence[RunResult], scored: str) -> list[str]:
    """Who loses how much at either end, who leads where, whether the running statistics are to blame."""
    sizes = list(by_size(points))
    told = [_end(points, sizes[0], "smallest"), _end(points, sizes[-1], "largest")] if len(sizes) > 1 else []
    leads = [_leaders(points, scored)]
    return [*filter(None, [*told, *leads]), *_statistics(points), *_lost(points), *_limits(results)]


def _end(points: Sequence[Point], size: int, which: str) -> str:
    """What each norm loses at one end of the batch sizes, the greatest loss first."""
    losses = sorted(filter(None, (_loss(own, size) for own in by_norm(points).values())), reverse=True)
    steps = next(one.steps for one in points if one.batch_size == size)
    lost = [text for loss, text in losses if loss > 0]
    least = [norm for norm, own in by_norm(points).items() if (found := _loss(own, size)) and found[0] == 0]
    if not losses:
        return ""
    best = f" It is the best batch of {_and(least)}." if least else ""
    below = f"below their best: {'; '.join(lost)}." if lost else "every norm is at its best."
    return f"At the {which} batch, {size} ({steps:,} steps), {below}{best}"


def _loss(points: Sequence[Point], size: int) -> tuple[float, str] | None:
    measured = {one.batch_size: one.accuracy.mean for one in points if one.accuracy}
    if size not in measured:
        return None
    best = max(measured, key=measured.__getitem__)
    loss = measured[best] - measured[size]
    norm = points[0].norm
    return loss, f"{norm} by {100 * loss:.1f} pp ({measured[size]:.1%} against {measured[best]:.1%} at {best})"


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
    """Of each norm with running statistics, at its smallest batch: what they are to blame for."""
    measured = [next((one for one in own if one.statistics), None) for own in by_norm(points).values()]
    return [_blame(one) for one in measured if one]


def _blame(one: Point) -> str:
    running, anew, own = (one.statistics[source] for source in ("running", "recomputed", "own"))
    gain = anew.mean - running.mean
    verdict = (
        f"so {100 * gain:.1f} pp of its loss are due to the running averages, and come back without any training"
        if gain > 0
        else "so its running averages are not what it loses by"
    )
    return (
        f"{one.norm} trained with batches of {one.batch_size} scores {_of(running)} with its running statistics, "
        f"{_of(anew)} with statistics recomputed over the training images and {_of(own)} with each batch's own: "
        f"{verdict}."
    )


def _of(value: Estimate) -> str:
    return f"{value.mean:.1%}"


def _lost(points: Sequence[Point]) -> list[str]:
    lost = [f"{one.norm} at {one.batch_size} ({', '.join(one.problems)})" for one in points if one.problems]
    return [f"Not finished, and in no mean: {'; '.join(lost)}."] if lost else []


def _limits(results: Sequence[RunResult]) -> list[str]:
    one_seed = len({result.seed for result in results}) == 1
    digits = results[0].dataset != "cifar10"
    return [
        *(["One seed shows no spread: small differences may be chance (--seeds 3)."] if one_seed else []),
        *(["The images are the embedded digits, not CIFAR-10, and tell little of other images."] if digits else []),
    ]


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
