"""What a study found: sentences, tables and charts as plain data, kept as finding.json in the experiment's folder."""

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
    """One line or one group of bars of a chart; an unmeasured point is None."""

    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] | None = None
    """Ends of a band or of error bars, point by point; None draws none."""
    high: tuple[float | None, ...] | None = None
    group: str = ""
    """Lines of one group share a colour, and are told apart by mark and dash; empty: a colour of its own."""
    lost: tuple[float, ...] = ()
    """The x at which a run diverged or failed: marked at the foot of a chart of lines."""

    @classmethod
    def of_estimates(
        cls, label: str, x: Sequence[float], values: Sequence[Estimate | None], lost: Sequence[float] = ()
    ) -> "Line":
        """A line through means, with the band of their 95 % intervals where there are any."""
        # Two seeds have an interval as well, of one degree of freedom: a band of it would hide the lines.
        ends: dict[str, tuple[float | None, ...] | None] = {
            end: tuple(None if value is None or value.is_pair else getattr(value, end) for value in values)
            for end in ("low", "high")
        }
        return cls(
            label=label,
            x=tuple(x),
            y=tuple(value and value.mean for value in values),
            lost=tuple(lost),
            **{end: found if found and any(one is not None for one in found) else None for end, found in ends.items()},
        )


class Chart(Frozen):
    """A plot as data: the terminal, the report and the files draw the same one."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    """Of its files, without ending; unique within a finding."""
    title: str
    """What there is to see, as a sentence."""
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    kind: Literal["lines", "bars"] = "lines"
    """`bars`: horizontal ones, one for each `ticks`; the x of a line are the places 0, 1, 2, ... of the ticks."""
    ticks: tuple[str, ...] = ()
    """Names of the places 0, 1, 2, ... along x; empty where x is a number."""
    log_x: bool = False
    log_y: bool = False
    percent: bool = False
    """Whether y is a fraction to be shown in percent."""
    reference: float | None = None
    """A level that the lines are to be seen against, as chance or a bound."""

    def place(self, x: float) -> str:
        """What stands at a place along x: its tick, or the number."""
        return self.ticks[round(x)] if self.ticks else f"{x:g}"


class Table(Frozen):
    """A table of words: the first column names the line, the others are figures, or sentences with `sentences`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: tuple[int, ...] = ()
    """Rows that are set apart."""
    note: str = ""
    sentences: bool = False
    """Cells are wrapped and set to the left, as sentences and lines of code need."""


class StudyResult(Frozen):
    """The result of one study."""

    study: str
    """The command, such as `batch-size`."""
    title: str
    """The question that it answers."""
    answer: tuple[str, ...]
    """What was found, in sentences, the most important first; each follows from the tables."""
    conditions: str
    """Data set, images, epochs, seeds, device and versions: what the figures hold for."""
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    warnings: tuple[str, ...] = ()
    environment: dict[str, Any] = Field(default_factory=dict)
    """As `runs.environment` gives it, command line included."""
    values: dict[str, Any] = Field(default_factory=dict)
    """The figures as numbers, for programs (`--json`); fractions and seconds."""


def write_study_result(folder: Path, finding: StudyResult) -> Path:
    """Write finding.json over that of an earlier try; the folder is made where it is missing.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    with in_words(folder):
        folder.mkdir(parents=True, exist_ok=True)
    document = {"schema_version": SCHEMA_VERSION} | json.loads(finding.model_dump_json())
    replace_text(folder / FINDING, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return folder / FINDING


def read_study_result(folder: Path) -> StudyResult | None:
    """The finding of an experiment's folder, None where it has none.

    Raises:
        NewerFormatError: A newer normbench has written it.
        RunFailedError: There is one that cannot be read.
    """
    path = folder / FINDING
    if kind_of(path) is None:
        return None
    try:
        return read_model(StudyResult, path)
    except NewerFormatError:
        raise
    except RunFailedError as error:
        raise RunFailedError(f"{path} is damaged", "Run the study again: it is written anew.") from error
