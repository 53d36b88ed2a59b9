"""Tables, charts and the result of a study. They are plain data; a result is kept as finding.json in its folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from normbench.analysis.aggregate import Estimate
from normbench.config.settings import Frozen
from normbench.errors import RunFailedError
from normbench.files import in_words, kind_of, replace_text
from normbench.runs import FINDING, SCHEMA_VERSION, NewerFormatError, read_model


class Line(Frozen):
    """Line, or group of bars, of a chart; an unmeasured point is None."""

    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] | None = None
    """Lower ends of a band or of error bars, point by point; None for none."""
    high: tuple[float | None, ...] | None = None
    group: str = ""
    """Lines of one group share a colour, and differ in marker and dash; empty: a separate colour."""
    unfinished: tuple[float, ...] = ()
    """Values of x at which a run diverged or failed, marked at the foot of a chart of lines."""

    @classmethod
    def of_estimates(
        cls, label: str, x: Sequence[float], values: Sequence[Estimate | None], unfinished: Sequence[float] = ()
    ) -> "Line":
        """Make a line through means, with a band of their 95 % intervals if there are any."""
        # Two seeds have an interval as well, of one degree of freedom: a band of it would hide the lines.
        ends: dict[str, tuple[float | None, ...] | None] = {
            end: tuple(None if value is None or value.is_pair else getattr(value, end) for value in values)
            for end in ("low", "high")
        }
        return cls(
            label=label,
            x=tuple(x),
            y=tuple(value and value.mean for value in values),
            unfinished=tuple(unfinished),
            **{end: band if band and any(y is not None for y in band) else None for end, band in ends.items()},
        )


class Chart(Frozen):
    """Plot as data: the terminal, the report and the files draw the same one."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    """Name of its files, without ending; unique within a study."""
    title: str
    """Content of the plot in a few words."""
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    kind: Literal["lines", "bars", "ranks"] = "lines"
    """`bars`: horizontal ones, one per tick; the x of a line are the indices 0, 1, 2, ... of the ticks. `ranks`: a
    critical-difference diagram; its only line has the average rank of each tick, and `reference` is the difference."""
    ticks: tuple[str, ...] = ()
    """Labels of x = 0, 1, 2, ...; empty where x is a number."""
    log_x: bool = False
    log_y: bool = False
    percent: bool = False
    """True to show y, a fraction, in percent."""
    reference: float | None = None
    """Level to compare the lines with, such as chance or a bound."""
    joined: tuple[tuple[int, int], ...] = ()
    """First and last tick of each set that does not differ, in a chart of kind `ranks`."""

    def tick_label(self, x: float) -> str:
        """Label of a value of x: its tick, or the number."""
        return self.ticks[round(x)] if self.ticks else f"{x:g}"


class Table(Frozen):
    """Table of text, not escaped for any format: the first column names the row, the others are figures or sentences.

    `report.export` and `report.html` render it as CSV, Markdown, LaTeX and HTML, `console.tables` in the terminal.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: tuple[int, ...] = ()
    """Indices of highlighted rows."""
    note: str = ""
    sentences: bool = False
    """True for cells of text, which are wrapped and aligned left; figures are aligned right."""


class StudyResult(Frozen):
    """Result of one study."""

    study: str
    """Command, such as `batch-size`."""
    title: str
    """Question that it answers."""
    conclusions: tuple[str, ...]
    """Sentences, the most important first; each follows from the tables."""
    caption: str
    """Data set, images, epochs, seeds, device and versions that the figures hold for."""
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    warnings: tuple[str, ...] = ()
    environment: dict[str, Any] = Field(default_factory=dict)
    """Versions and device from `runs.environment`, with the command line."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Figures as numbers, for programs (`--json`); fractions and seconds."""


def write_study_result(folder: Path, result: StudyResult) -> Path:
    """Write finding.json over that of an earlier study; the folder is made if it is missing.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    with in_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
    document = {"schema_version": SCHEMA_VERSION} | json.loads(result.model_dump_json())
    replace_text(folder / FINDING, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return folder / FINDING


def read_study_result(folder: Path) -> StudyResult | None:
    """Read the result of a study from its folder; None if there is none.

    Raises:
        NewerFormatError: It was written by a newer normbench.
        RunFailedError: It cannot be read.
    """
    path = folder / FINDING
    if kind_of(path) is None:
        return None
    try:
        return read_model(StudyResult, path)
    except NewerFormatError:
        raise
    except RunFailedError as error:
        raise RunFailedError(f"{path} is damaged", "Run the study again: it replaces the file.") from error
