"""Study results are kept, read again, and shown equally in the terminal, in the report and in files."""

import re

import pytest
from rich.console import Console

from normbench.analysis import Chart, Line, StudyResult, Table, read_study_result, write_study_result
from normbench.config import MachineConfig
from normbench.console.charts import chart_picture
from normbench.console.study import study_result_document, study_result_text, study_result_values
from normbench.errors import RunFailedError, UsageError
from normbench.report.charts import chart_plot
from normbench.report.figure import series_style, series_styles
from normbench.report.write import write_report
from normbench.runs import FINDING, find_experiment

LINES = Chart(
    name="accuracy", title="Accuracy by batch size", x_label="batch size", y_label="test accuracy",
    log_x=True, percent=True,
    lines=(
        Line(label="bn", x=(2, 8, 128), y=(0.2, 0.4, None), low=(0.1, 0.3, None), high=(0.3, 0.5, None)),
        Line(label="gn", x=(2, 8, 128), y=(0.51, 0.52, 0.53)),
    ),
)  # fmt: skip
BARS = Chart(
    name="cost", title="Cost by norm", x_label="norm", y_label="ratio to none", kind="bars", ticks=("bn", "gn"),
    reference=1.0,
    lines=(Line(label="forward", x=(0, 1), y=(1.5, 3.0)), Line(label="backward", x=(0, 1), y=(2.0, None))),
)  # fmt: skip
FOUND = StudyResult(
    study="batch-size",
    title="What does a small batch cost?",
    conclusions=("bn falls & gn <stays>.",),
    caption="digits; 1 seed",
    tables=(Table(title="By norm", columns=("norm", "2", "8"), rows=(("bn", "20 %", "40 %"),), note="as is"),),
    charts=(LINES, BARS),
    environment={"argv": ["normbench", "batch-size", "--quick"], "torch": "2"},
    values={"bn": 0.2},
)


def shown(part) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(part)
    return console.export_text()


def test_a_result_is_read_as_it_was_written(tmp_path):
    write_study_result(tmp_path / "batch-size", FOUND)
    assert read_study_result(tmp_path / "batch-size") == FOUND
    assert read_study_result(tmp_path) is None


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / FINDING).write_text("{")
    with pytest.raises(RunFailedError, match=FINDING):
        read_study_result(tmp_path)


def test_an_experiment_without_runs_is_found_by_its_study_result(tmp_path):
    write_study_result(tmp_path / "batch-size", FOUND)
    assert find_experiment("batch-size", tmp_path) == tmp_path / "batch-size"
    with pytest.raises(UsageError, match="no experiment") as raised:
        find_experiment("batch-sise", tmp_path)
    assert "Did you mean 'batch-size'" in raised.value.hint


def test_the_report_of_a_study_has_its_conclusions_tables_and_plots(tmp_path):
    write_study_result(tmp_path, FOUND)
    written = write_report(tmp_path, MachineConfig())
    page = written.report.read_text()
    assert "bn falls &amp; gn &lt;stays&gt;." in page
    assert "normbench batch-size --quick" in page
    assert page.count("<svg") == 2
    assert {path.name for path in written.plots} == {
        f"chart-{name}.{ending}" for name in ("accuracy", "cost") for ending in ("svg", "png", "pdf")
    }
    assert "gn: 51 % at 2, 53 % at 128" in page


def test_the_terminal_shows_every_figure_of_a_bar_and_every_line(tmp_path):
    bars, lines = shown(chart_picture(BARS)), shown(chart_picture(LINES))
    assert all(text in bars for text in ("1.5", "3", "2", "not measured", "forward", "backward", "|"))
    lengths = [line.count("█") for line in bars.splitlines() if "forward" in line]
    assert lengths == [19, 39]  # half as long, each with one cell under the mark of the reference level
    assert "bn" in lines and "gn" in lines and "test accuracy (%)" in lines
    assert [tick for tick in ("2", "8", "128") if tick not in lines.splitlines()[-3]] == []


def test_a_logarithmic_axis_is_marked_in_powers_of_ten():
    line = Line(label="plain", x=(0, 10), y=(10.0, 0.001))
    picture = shown(
        chart_picture(LINES.model_copy(update={"lines": (line,), "log_x": False, "log_y": True, "percent": False}))
    )
    assert "10" in picture and "0.001" in picture


def test_the_conclusions_come_last_and_quiet_prints_the_table(tmp_path):
    text = shown(study_result_text(FOUND))
    assert text.index("By norm") < text.index("Accuracy by batch size") < text.index("bn falls")
    assert study_result_values(FOUND) == "bn\t20 %\t40 %"
    assert study_result_document(FOUND, ["a"])["values"] == {"bn": 0.2}


def test_a_logarithmic_axis_of_the_report_has_numbers_for_ticks():
    values = BARS.lines[0].model_copy(update={"y": (1e-3, 1e3)})
    plot = chart_plot(BARS.model_copy(update={"lines": (values,), "log_y": True}))
    assert "mathdefault" not in plot.svg
    assert ">0.001<" in plot.svg


def test_lines_of_a_group_share_a_colour_and_nothing_else():
    drawn = series_styles(["bn", "bn", "gn", "", ""])
    assert drawn[0]["color"] == drawn[1]["color"]
    assert len({style["color"] for style in drawn}) == 4
    assert drawn[0]["linestyle"] != drawn[1]["linestyle"] and drawn[0]["marker"] != drawn[1]["marker"]
    assert series_styles(["", "", ""]) == [series_style(0), series_style(1), series_style(2)]


@pytest.mark.parametrize(("ys", "ticks"), [((1e-9, 10.0), {"1e-07", "0.001", "10"}), ((2.0, 6.0), {"2", "5"})])
def test_ticks_of_a_logarithmic_plot_are_numbers(ys, ticks):
    chart = LINES.model_copy(update={"lines": (Line(label="a", x=(1, 9), y=ys),), "log_y": True, "percent": False})
    svg = chart_plot(chart).svg
    assert "mathdefault" not in svg
    assert ticks <= set(re.findall(r">([0-9.e-]+)</text>", svg))


def test_many_whole_places_along_x_have_round_ticks():
    line = Line(label="deep", x=tuple(range(31)), y=tuple(map(float, range(31))))
    picture = shown(chart_picture(LINES.model_copy(update={"lines": (line,), "log_x": False, "percent": False})))
    assert ["0", "5", "10", "15", "20", "25", "30"] in [row.replace("└", " ").split() for row in picture.splitlines()]
