"""Sensitivity of norms to the learning rate: the curves of a search, and how they are shown."""

import io
from pathlib import Path

import pytest
from helpers.cli import compare, normbench
from helpers.results import make_result
from rich.console import Console

from normbench.analysis import (
    Chart,
    Line,
    aggregate_runs,
    sensitivity_charts,
    sensitivity_conclusions,
    sensitivity_curves,
)
from normbench.console.charts import chart_picture
from normbench.report.charts import chart_plot
from normbench.runs import RunResult

RATES = (0.01, 0.03, 0.1, 0.3)


def runs(norm: str, *accuracies: float | None, weight_decay: float = 5e-4) -> list[RunResult]:
    """A run for each of the rates; None is one that diverged."""
    return [
        make_result(norm, lr=lr, status="diverged", weight_decay=weight_decay)
        if accuracy is None
        else make_result(norm, lr=lr, validation_accuracy=accuracy, weight_decay=weight_decay)
        for lr, accuracy in zip(RATES, accuracies, strict=True)
    ]


SEARCH = [
    *runs("bn", 0.40, 0.439, 0.45, 0.44), *runs("gn", 0.30, 0.40, 0.37, 0.39), *runs("none", 0.35, None, None, None),
    *runs("in", 0.10, 0.11, 0.14, 0.13),
]  # fmt: skip


def shown(chart: Chart) -> str:
    console = Console(width=120, file=io.StringIO())
    console.print(chart_picture(chart))
    return console.file.getvalue()


def test_a_range_is_of_neighbours_within_two_points_of_the_best() -> None:
    (curves,) = sensitivity_curves(aggregate_runs(SEARCH))
    bn, gn, none, instance = curves
    assert [curve.norm for curve in curves] == ["bn", "gn", "none", "in"]
    assert (bn.values, bn.best, bn.tolerated) == (RATES, 0.1, RATES[1:])
    assert bn.factor == pytest.approx(10.0)
    assert gn.tolerated == (0.03,)  # 0.3 is within two points again, but 0.1 between them is not
    assert (none.diverged, none.tolerated) == ((0, 1, 1, 1), RATES[:1])
    assert bn.learned and not instance.learned


def test_the_answer_names_ranges_edges_and_what_diverged() -> None:
    (curves,) = sensitivity_curves(aggregate_runs(SEARCH))
    assert sensitivity_conclusions(curves) == [
        "Within 2 points of its best, by learning rate: bn 0.03 to 0.3 (a factor of 10), up to the high end of the "
        "grid; gn 0.03 alone; none 0.01 alone, up to the low end of the grid.",
        "The widest range of this grid's learning rates is tolerated by bn.",
        "in hardly learns at any value (14.0 % at best), so the width of its curve has no meaning.",
        "Diverged, by learning rate: none at 0.03, 0.1 and 0.3.",
    ]


def test_of_two_settings_each_curve_takes_the_best_over_the_other() -> None:
    rows = aggregate_runs([*runs("gn", 0.3, 0.4, 0.5, None), *runs("gn", 0.4, 0.3, 0.3, 0.2, weight_decay=1e-4)])
    (by_rate,), (by_decay,) = sensitivity_curves(rows)
    assert [accuracy.mean for accuracy in by_rate.accuracies] == [0.4, 0.4, 0.5, 0.2]
    assert (by_rate.runs, by_rate.diverged) == ((2, 2, 2, 2), (0, 0, 0, 1))
    assert [(value, accuracy.mean) for value, accuracy in zip(by_decay.values, by_decay.accuracies, strict=True)] == [
        (1e-4, 0.4), (5e-4, 0.5),
    ]  # fmt: skip
    assert sensitivity_conclusions([by_rate])[-1] == "Diverged, by learning rate: gn at 0.3 (1 of 2 runs)."
    assert [chart.name for chart in sensitivity_charts(sensitivity_curves(rows))] == [
        "sensitivity-lr",
        "sensitivity-weight-decay",
    ]
    assert sensitivity_curves(aggregate_runs(runs("gn", 0.3, 0.3, 0.3, 0.3)[:1])) == []


def test_a_norm_that_never_finishes_is_said_and_drawn() -> None:
    curves = sensitivity_curves(
        aggregate_runs([*runs("bn", 0.40, 0.44, 0.45, 0.44), *runs("none", None, None, None, None)])
    )
    assert "none finished its runs at no value." in sensitivity_conclusions(curves[0])
    (chart,) = sensitivity_charts(curves)
    assert chart.lines[1].unfinished == RATES
    assert "not finished: none at 0.01, 0.03, 0.1, 0.3" in shown(chart)


def test_a_weight_decay_of_zero_has_a_place_on_the_axis() -> None:
    rows = aggregate_runs(
        [make_result("gn", weight_decay=decay, validation_accuracy=0.3 + decay) for decay in (0.0, 1e-4, 1e-2)]
    )
    (chart,) = sensitivity_charts(sensitivity_curves(rows))
    assert (chart.log_x, chart.ticks, chart.lines[0].x) == (False, ("0", "0.0001", "0.01"), (0.0, 1.0, 2.0))
    assert "(a factor" not in sensitivity_conclusions(sensitivity_curves(rows)[0])[0]


def test_lost_points_stand_at_the_foot_of_every_chart() -> None:
    lines = (Line(label="bn", x=(1, 2), y=(0.4, 0.5)), Line(label="none", x=(1, 2), y=(0.3, None), unfinished=(2.0,)))
    chart = Chart(name="a", title="t", x_label="x", y_label="y", lines=lines)
    assert shown(chart).count("X") == 2  # in the legend, and in the plot
    assert shown(chart.model_copy(update={"lines": lines[:1]})).count("X") == 0
    assert "none not finished" in chart_plot(chart).svg
    assert "none: 0.3 at 1, not finished at 2" in chart_plot(chart).description


def test_a_search_shows_its_curves_in_the_terminal_the_document_and_the_report(tmp_path: Path) -> None:
    search = ("--norms", "none,gn", "--lr", "0.01,1e20", "--val-split", "0.1")
    answer = compare(tmp_path, *search)
    assert "Validation accuracy by learning rate" in answer.words
    assert "none at 1e+20" in answer.words
    assert "gn lr 0.01 seed 0: done" in answer.stderr
    curve = compare(tmp_path, *search, "--json").document["sensitivity"][0]
    assert (curve["norm"], curve["setting"], curve["values"], curve["diverged"]) == ("none", "lr", [0.01, 1e20], [0, 1])
    assert normbench("report", "baseline", "--out", tmp_path).code == 0
    page = (tmp_path / "baseline" / "report.html").read_text()
    assert "Sensitivity to the settings" in page and "Diverged, by learning rate: gn at 1" in page
    assert (tmp_path / "baseline" / "plots" / "chart-sensitivity-lr.svg").is_file()


def test_a_comparison_that_is_no_search_has_no_curves(tmp_path: Path) -> None:
    answer = compare(tmp_path, "--norms", "gn", "--json")
    assert answer.document["sensitivity"] == []


def test_a_search_that_finished_nothing_has_no_chart() -> None:
    curves = sensitivity_curves(aggregate_runs(runs("none", None, None, None, None)))
    assert sensitivity_charts(curves) == []
    assert "none finished its runs at no value." in sensitivity_conclusions(curves[0])
