"""What the mistakes look like: bars of the right and the wrong way, and accuracy by test batch."""

from collections.abc import Mapping, Sequence

from normbench.analysis import Chart, Estimate, Line, estimate
from normbench.studies.mistakes.bench import Outcome
from normbench.studies.mistakes.catalog import Mistake
from normbench.studies.mistakes.scoring import SHUFFLED, SIZES, SORTED

Outcomes = Mapping[str, Sequence[Outcome]]
"""By mistake, one a seed."""


def mean(outcomes: Outcomes, mistake: Mistake, way: str) -> Estimate:
    """Test accuracy of the `right` or the `wrong` way over the seeds."""
    found = estimate([getattr(outcome, way) for outcome in outcomes[mistake.name]])
    assert found is not None, "a recipe has a seed"
    return found


def draw(mistakes: Sequence[Mistake], outcomes: Outcomes) -> tuple[Chart, ...]:
    """Each mistake beside the right way, and how train mode at the test depends on the batch."""
    places = tuple(map(float, range(len(mistakes))))
    bars = Chart(
        name="costs",
        title="Each mistake beside the right way",
        x_label="mistake",
        y_label="test accuracy",
        kind="bars",
        ticks=tuple(one.name for one in mistakes),
        percent=True,
        lines=tuple(
            _line(f"{way} way", places, [mean(outcomes, one, way) for one in mistakes]) for way in ("right", "wrong")
        ),
    )
    return (bars, *(_by_batch(outcomes[one.name]) for one in mistakes if one.name == "train-mode"))


def _by_batch(outcomes: Sequence[Outcome]) -> Chart:
    """How train mode at the test depends on who comes with whom."""
    xs = tuple(map(float, SIZES))
    right = [estimate([one.right for one in outcomes])] * len(SIZES)
    lines = [_line("eval mode", xs, right)]
    for name in (SHUFFLED, SORTED):
        found = [estimate([float(one.facts[f"{name}-{size}"]) for one in outcomes]) for size in SIZES]
        lines.append(_line(f"train mode, {name}", xs, found))
    return Chart(
        name="train-mode",
        title="Left in train mode, accuracy depends on the size and the order of the test batches",
        x_label="test images in a batch",
        y_label="test accuracy",
        log_x=True,
        percent=True,
        lines=tuple(lines),
    )


def _line(label: str, xs: tuple[float, ...], found: Sequence[Estimate | None]) -> Line:
    """With the 95 % intervals that several seeds give, cut off where an accuracy ends."""
    y = tuple(one and one.mean for one in found)
    if any(one is None or one.low is None or one.high is None for one in found):
        return Line(label=label, x=xs, y=y)
    low = tuple(max(0.0, one.low or 0.0) for one in found if one)
    high = tuple(min(1.0, one.high or 1.0) for one in found if one)
    return Line(label=label, x=xs, y=y, low=low, high=high)
