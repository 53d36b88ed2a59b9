"""Worked example of a norm on numbers: three inputs with four features, each step of the formula."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from normbench.analysis.document import Table
from normbench.errors import UsageError
from normbench.norms import NormInfo
from normbench.norms.axes import Axes

Matrix = tuple[tuple[float, ...], ...]

INPUTS: Matrix = ((1.0, 2.0, 3.0, 4.0), (2.0, 4.0, 6.0, 8.0), (3.0, 9.0, 6.0, 0.0))
"""Batch of the example: a row per input, a column per feature (channel)."""
EPSILON = 1e-5
GAMMA, BETA = 2.0, 1.0
"""Scale and shift of every feature; a fresh norm has 1 and 0."""


@dataclass(frozen=True)
class Example:
    """Steps of a norm on `INPUTS`, every matrix with a row per input and a column per feature."""

    norm: str
    centred: bool
    """True if the mean is subtracted; else the deviation is the root of the mean square."""
    mean: Matrix
    """Mean that each value is normalized with; 0 where none is subtracted."""
    deviation: Matrix
    """Root of the variance (of the mean square) plus epsilon."""
    normalized: Matrix
    train_eval_differ: bool
    output: Matrix
    """Normalized values times `GAMMA`, plus `BETA` for a norm that has a shift."""


def worked_example(name: str, info: NormInfo, groups: int) -> Example:
    """Normalize the example in train mode, step by step.

    Args:
        name: Of the norm, as typed.
        info: Its record.
        groups: Channel groups, for a norm over groups.

    Raises:
        UsageError: The norm has no mean and variance or mean square, or each would be of a single value.
    """
    axes = info.axes
    simple = info.statistic in ("mean and variance", "mean square") and not info.further
    if axes is None or axes.is_empty or axes.ghost or not simple:
        raise UsageError(f"there is no worked example of {name}", "There are some of bn, gn, ln, ln-c, rms and rms-c.")
    if axes.is_single_value(len(INPUTS[0])):
        raise UsageError(
            f"there is no worked example of {name}: on 4 features each {info.statistic} is of a single value",
            "There are some of bn, gn, ln, ln-c, rms and rms-c; for gn in 1 or 2 groups.",
        )
    centred = info.statistic == "mean and variance"
    mean = _map(lambda row, column: fmean(_values(axes, groups, row, column)) if centred else 0.0)
    deviation = _map(
        lambda row, column: math.sqrt(
            fmean((value - mean[row][column]) ** 2 for value in _values(axes, groups, row, column)) + EPSILON
        )
    )
    normalized = _map(lambda row, column: (INPUTS[row][column] - mean[row][column]) / deviation[row][column])
    shift = BETA if centred else 0.0
    output = _map(lambda row, column: GAMMA * normalized[row][column] + shift)
    return Example(name, centred, mean, deviation, normalized, info.train_eval_differ, output)


def _map(value: Callable[[int, int], float]) -> Matrix:
    return tuple(tuple(value(row, column) for column in range(len(INPUTS[0]))) for row in range(len(INPUTS)))


def _values(axes: Axes, groups: int, row: int, column: int) -> list[float]:
    """Values that share a statistic with one of them: of the batch or of its input, of its feature, group or all."""
    width = len(INPUTS[0])
    size = {"one": 1, "group": max(1, width // groups)}.get(axes.channels, width)
    first = column // size * size
    rows = INPUTS if axes.images else (INPUTS[row],)
    return [value for values in rows for value in values[first : first + size]]


def example_tables(example: Example) -> list[Table]:
    """Lay out the steps, a table each."""
    root = "sqrt(variance + eps)" if example.centred else "sqrt(mean square + eps)"
    shift = f" + {BETA:g}" if example.centred else ""
    above = f"(x - mean) / {root}" if example.centred else f"x / {root}"
    steps: list[tuple[str, tuple[tuple[float, ...], ...]]] = [("x: three inputs with four features", INPUTS)]
    steps += [("mean, for each value", example.mean)] * example.centred
    steps += [
        (f"{root}, for each value", example.deviation),
        (above, example.normalized),
        (f"y = {GAMMA:g} times that{shift} (gamma {GAMMA:g}{f', beta {BETA:g}' * example.centred})", example.output),
    ]
    columns = ("", *(f"feature {column + 1}" for column in range(len(INPUTS[0]))))
    return [
        Table(
            title=title,
            columns=columns,
            rows=tuple(
                (f"input {row + 1}", *(f"{value:.3f}" for value in values)) for row, values in enumerate(matrix)
            ),
        )
        for title, matrix in steps
    ]
