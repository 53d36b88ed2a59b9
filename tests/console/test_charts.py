"""Charts in the terminal: no line hides another, ticks are round, and colours hold on white and on black."""

import re

import pytest
from rich.console import Console, RenderableType

from normbench.analysis import Chart, Line
from normbench.console.charts import COLOURS, FAINT, MARKS, chart_picture

X = tuple(float(x) for x in range(1, 21))
RISE = tuple(0.3 + 0.4 * (1 - 0.8**x) for x in X)


def picture(*ys: tuple[float, ...], **settings: object) -> RenderableType:
    lines = tuple(Line(label=f"line {index}", x=X, y=y) for index, y in enumerate(ys))
    return chart_picture(Chart(name="c", title="A chart", x_label="epoch", y_label="y", lines=lines, **settings))


def drawn(*ys: tuple[float, ...], **settings: object) -> str:
    console = Console(width=80, force_terminal=False, color_system=None, no_color=True)
    with console.capture() as capture:
        console.print(picture(*ys, **settings))
    return capture.get()


def plane(text: str) -> list[str]:
    """Rows between the frames."""
    return [row.partition("│")[2] or row.partition("┤")[2] for row in text.splitlines() if re.search("[│┤]", row)]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_lines_of_equal_values_take_turns_with_their_marks(count: int) -> None:
    rows = plane(drawn(*[RISE] * count, percent=True))
    marks = ["".join(rows).count(mark) for mark in MARKS[:count]]
    assert min(marks) >= len(X) // count - 1
    assert sum(marks) == len(X)


def test_lines_that_do_not_meet_have_a_mark_at_every_point() -> None:
    rows = plane(drawn(tuple(1.0 for _ in X), tuple(2.0 for _ in X)))
    assert ["".join(rows).count(mark) for mark in "ox"] == [len(X), len(X)]


@pytest.mark.parametrize(
    ("ys", "ticks"),
    [
        ((0.371, 0.791), ["40", "50", "60", "70"]),
        ((0.9871, 0.9932), ["98.8", "99", "99.2"]),
        ((0.5, 0.5), ["50", "60"]),
    ],
)
def test_ticks_of_accuracies_are_round(ys: tuple[float, float], ticks: list[str]) -> None:
    text = drawn(tuple(ys[index % 2] for index in range(len(X))), percent=True)
    shown = [row.partition("┤")[0].strip() for row in text.splitlines() if "┤" in row]
    assert shown == ticks[::-1]


def test_ticks_of_powers_are_powers() -> None:
    text = drawn(tuple(10.0 ** (1 - x) for x in X), log_y=True)
    shown = [row.partition("┤")[0].strip() for row in text.splitlines() if "┤" in row]
    assert shown == ["1", "0.001", "1e-6", "1e-9", "1e-12", "1e-15", "1e-18", "1e-21"]


def luminance(colour: int) -> float:
    """Relative luminance (WCAG) of a colour of the cube or the greys of the 256."""
    levels = (0, 95, 135, 175, 215, 255)
    index = colour - 16
    rgb = (
        [levels[index // 36], levels[index // 6 % 6], levels[index % 6]]
        if colour < 232
        else [8 + 10 * (colour - 232)] * 3
    )
    linear = [value / 255 / 12.92 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*COLOURS, FAINT])
def test_a_colour_is_legible_on_white_and_on_black(colour: int) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 3
    assert (luminance(colour) + 0.05) / 0.05 >= 3


def test_the_lines_are_drawn_in_these_colours() -> None:
    segments = Console(width=80).render(picture(RISE, tuple(y / 2 for y in RISE)))
    colours = {segment.style.color.number for segment in segments if segment.style and segment.style.color}
    assert colours == {COLOURS[0], COLOURS[1]}
