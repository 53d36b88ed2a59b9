"""Result of `mistakes`: tables and charts."""

from collections.abc import Sequence
from typing import Any

import torch

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, estimate
from normbench.analysis.format import p_value, percent, points
from normbench.runs.environment import environment
from normbench.studies.mistakes.bench import Outcome
from normbench.studies.mistakes.catalog import Mistake
from normbench.studies.mistakes.measure import Measurement
from normbench.studies.mistakes.sentences import caption, conclusions, verdict
from normbench.studies.mistakes.study import STUDY
from normbench.studies.mistakes.trials import SHUFFLED, SIZES, SORTED


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, charts and conclusions."""
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=(_costs(measurement), _lessons(measurement)),
        charts=_charts(measurement),
        environment=environment(measurement.data.train.images.device),
        values={
            "torch": torch.__version__,
            "mistakes": [_values(mistake, measurement) for mistake in measurement.mistakes],
        },
    )


def _costs(measurement: Measurement) -> Table:
    rows = []
    for mistake in measurement.mistakes:
        outcomes, pair = measurement.outcomes[mistake.name], measurement.differences[mistake.name]
        right, wrong = (percent(_mean(outcomes, way)) for way in ("right", "wrong"))
        rows.append((mistake.name, right, wrong, points(pair.difference), p_value(pair.p_holm), verdict(pair)))
    note = (
        "Test accuracy. Difference: wrong minus right on the same seeds, each with its own interval; p and verdict: "
        "paired t-test, Holm-adjusted over all mistakes."
    )
    columns = ("mistake", "right way", "wrong way", "difference", "Holm p", "verdict")
    return Table(title="What each mistake costs", columns=columns, rows=tuple(rows), note=note)


def _lessons(measurement: Measurement) -> Table:
    rows = tuple(
        (
            mistake.name,
            f"Wrong: {mistake.wrong}\n  {mistake.wrong_code}\nRight: {mistake.right}\n  {mistake.right_code}",
            _advice(mistake, measurement.outcomes[mistake.name]),
        )
        for mistake in measurement.mistakes
    )
    columns = ("mistake", "wrong and right", "what to look for")
    return Table(title="How to recognize each mistake", columns=columns, rows=rows, sentences=True)


def _advice(mistake: Mistake, outcomes: Sequence[Outcome]) -> str:
    """Symptoms of a mistake, with the figures that were measured, averaged over the seeds."""
    facts: dict[str, Any] = {}
    for name, value in outcomes[0].facts.items():
        figures = [outcome.facts[name] for outcome in outcomes]
        facts[name] = value if isinstance(value, str) else sum(map(float, figures)) / len(figures)
    return mistake.look.format(**facts).replace("%", " %")


def _values(mistake: Mistake, measurement: Measurement) -> dict[str, Any]:
    outcomes, pair = measurement.outcomes[mistake.name], measurement.differences[mistake.name]
    difference = pair.difference
    return {
        "name": mistake.name,
        "wrong": mistake.wrong,
        "right": mistake.right,
        "wrong_code": mistake.wrong_code,
        "right_code": mistake.right_code,
        "look": _advice(mistake, outcomes),
        "right_accuracy": [outcome.right for outcome in outcomes],
        "wrong_accuracy": [outcome.wrong for outcome in outcomes],
        "facts": [outcome.facts for outcome in outcomes],
        "difference": difference and difference.mean,
        "low95": difference and difference.low,
        "high95": difference and difference.high,
        "p_holm": pair.p_holm,
        "verdict": verdict(pair),
    }


def _mean(outcomes: Sequence[Outcome], way: str) -> Estimate | None:
    """Test accuracy of the `right` or the `wrong` way over the seeds."""
    return estimate([getattr(outcome, way) for outcome in outcomes])


def _charts(measurement: Measurement) -> tuple[Chart, ...]:
    mistakes = measurement.mistakes
    indices = tuple(map(float, range(len(mistakes))))
    costs = Chart(
        name="costs",
        title="Each mistake beside the right way",
        x_label="mistake",
        y_label="test accuracy",
        kind="bars",
        ticks=tuple(mistake.name for mistake in mistakes),
        percent=True,
        lines=tuple(
            _line(f"{way} way", indices, [_mean(measurement.outcomes[mistake.name], way) for mistake in mistakes])
            for way in ("right", "wrong")
        ),
    )
    return (costs, *(_by_batch(measurement.outcomes[m.name]) for m in mistakes if m.name == "train-mode"))


def _by_batch(outcomes: Sequence[Outcome]) -> Chart:
    """Accuracy in train mode by size and order of the test batches."""
    sizes = tuple(map(float, SIZES))
    lines = [_line("eval mode", sizes, [_mean(outcomes, "right")] * len(SIZES))]
    for order in (SHUFFLED, SORTED):
        accuracies = [estimate([float(outcome.facts[f"{order}-{size}"]) for outcome in outcomes]) for size in SIZES]
        lines.append(_line(f"train mode, {order}", sizes, accuracies))
    return Chart(
        name="train-mode",
        title="Left in train mode, accuracy depends on the size and the order of the test batches",
        x_label="test images in a batch",
        y_label="test accuracy",
        log_x=True,
        percent=True,
        lines=tuple(lines),
    )


def _line(label: str, x: tuple[float, ...], accuracies: Sequence[Estimate | None]) -> Line:
    """Line through means with the 95 % intervals of several seeds, cut off at 0 and 1."""
    y = tuple(accuracy and accuracy.mean for accuracy in accuracies)
    if any(accuracy is None or accuracy.low is None or accuracy.high is None for accuracy in accuracies):
        return Line(label=label, x=x, y=y)
    low = tuple(max(0.0, accuracy.low or 0.0) for accuracy in accuracies if accuracy)
    high = tuple(min(1.0, accuracy.high or 1.0) for accuracy in accuracies if accuracy)
    return Line(label=label, x=x, y=y, low=low, high=high)
