"""Result of `mistakes`: tables and charts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from normbench.analysis import Chart, Estimate, Line, PairedDifference, StudyResult, Table, estimate
from normbench.analysis.format import percent, points
from normbench.runs.environment import environment
from normbench.studies.mistakes.bench import TEST_IMAGES, Outcome
from normbench.studies.mistakes.catalog import Mistake
from normbench.studies.mistakes.measure import Measured, Outcomes
from normbench.studies.mistakes.scoring import SHUFFLED, SIZES, SORTED
from normbench.studies.mistakes.sentences import caption, conclusions, p_value, verdict
from normbench.studies.mistakes.study import STUDY


def mistakes_result(measured: Measured) -> StudyResult:
    """Lay out the measurements as a result."""
    mistakes, outcomes, differences = measured.mistakes, measured.outcomes, measured.differences
    data = measured.data
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        answer=conclusions(mistakes, differences),
        conditions=caption(measured.recipe, data, min(TEST_IMAGES, len(data.test)), measured.device),
        tables=(_costs(mistakes, outcomes, differences), _lessons(mistakes, outcomes)),
        charts=_charts(mistakes, outcomes),
        environment=environment(data.train.images.device),
        values={"torch": torch.__version__, "mistakes": _values(mistakes, outcomes, differences)},
    )


def _costs(mistakes: Sequence[Mistake], outcomes: Outcomes, differences: Mapping[str, PairedDifference]) -> Table:
    rows = [
        (
            one.name,
            percent(_mean(outcomes, one, "right")),
            percent(_mean(outcomes, one, "wrong")),
            points(differences[one.name].difference),
            p_value(differences[one.name].p_holm),
            verdict(differences[one.name]),
        )
        for one in mistakes
    ]
    note = (
        "Test accuracy. Difference: wrong less right on the same seeds, each with an interval of its own; p and "
        "verdict: paired t-test, Holm-adjusted for all of them together."
    )
    columns = ("mistake", "right way", "wrong way", "difference", "Holm p", "verdict")
    return Table(title="What each mistake costs", columns=columns, rows=tuple(rows), note=note)


def _lessons(mistakes: Sequence[Mistake], outcomes: Outcomes) -> Table:
    rows = [
        (
            one.name,
            f"Wrong: {one.wrong}\n  {one.wrong_code}\nRight: {one.right}\n  {one.right_code}",
            look(one, outcomes[one.name]),
        )
        for one in mistakes
    ]
    columns = ("mistake", "wrong and right", "what to look for")
    return Table(title="How to know each", columns=columns, rows=tuple(rows), sentences=True)


def look(mistake: Mistake, outcomes: Sequence[Outcome]) -> str:
    """What to look for, with the figures that were measured: means over the seeds."""
    facts: dict[str, Any] = {}
    for name, value in outcomes[0].facts.items():
        figures = [outcome.facts[name] for outcome in outcomes]
        facts[name] = value if isinstance(value, str) else sum(map(float, figures)) / len(figures)
    return mistake.look.format(**facts).replace("%", " %")


def _values(
    mistakes: Sequence[Mistake], outcomes: Outcomes, differences: Mapping[str, PairedDifference]
) -> list[dict[str, Any]]:
    """By mistake, for programs: accuracies by seed, the difference, and the words."""
    values = []
    for one in mistakes:
        found, difference = outcomes[one.name], differences[one.name].difference
        values.append(
            {
                "name": one.name,
                "wrong": one.wrong,
                "right": one.right,
                "wrong_code": one.wrong_code,
                "right_code": one.right_code,
                "look": look(one, found),
                "right_accuracy": [outcome.right for outcome in found],
                "wrong_accuracy": [outcome.wrong for outcome in found],
                "facts": [outcome.facts for outcome in found],
                "difference": difference and difference.mean,
                "low95": difference and difference.low,
                "high95": difference and difference.high,
                "p_holm": differences[one.name].p_holm,
                "verdict": verdict(differences[one.name]),
            }
        )
    return values


def _mean(outcomes: Outcomes, mistake: Mistake, way: str) -> Estimate:
    """Test accuracy of the `right` or the `wrong` way over the seeds."""
    found = estimate([getattr(outcome, way) for outcome in outcomes[mistake.name]])
    assert found is not None, "a recipe has a seed"
    return found


def _charts(mistakes: Sequence[Mistake], outcomes: Outcomes) -> tuple[Chart, ...]:
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
            _line(f"{way} way", places, [_mean(outcomes, one, way) for one in mistakes]) for way in ("right", "wrong")
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
