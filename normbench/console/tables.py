"""Tables, complete at any terminal width. That of `train` is here.

No cell is cut. Where the natural layout is too wide, headers wrap; then columns with one value in all rows
move into a line below; then sentences wrap; and if even that is too wide, every row becomes a block of lines.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.text
from rich.box import Box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable

from normbench.analysis import Table, caption
from normbench.analysis.format import learning_rate, percent
from normbench.config.settings import data_set_title
from normbench.console.text import Text, for_encoding
from normbench.runs import RunResult

KEPT = ("norm", "seed", "train accuracy", "test accuracy", "validation accuracy", "state", "folder")
"""Columns that stay in a table even if all their cells are equal."""
BOX = "    \n    \n {line} \n    \n    \n {line} \n    \n    \n"
"""Box characters for rich: a rule below the headers and between sections, none between columns."""
WIDE, USUAL, NARROW = 3, 2, 1
"""Blanks between two columns."""
NARROWEST_SENTENCE = 16


@dataclass(frozen=True)
class Row:
    """Row of a table."""

    cells: tuple[rich.text.Text, ...]
    style: str | None
    end_section: bool
    """True for a rule below the row."""


class FittedTable:
    """Table that is laid out when it is printed, for the width and the encoding of the stream.

    Args:
        columns: The headers.
        left: Number of leading columns that are aligned left, as text; the others are figures.
        title: Line above the table.
        wraps: Columns of sentences, which may be broken between words.
        keep: Columns that stay in the table even if all their cells are equal: names and accuracies.
    """

    def __init__(
        self, columns: Sequence[str], left: int, title: str | None, wraps: Collection[int], keep: Collection[int]
    ) -> None:
        self.columns = tuple(columns)
        self.left, self.title, self.wraps = left, title, frozenset(wraps)
        self.keep = frozenset(keep) | {0}
        self.rows: list[Row] = []

    def add_row(self, *cells: "str | rich.text.Text", style: str | None = None, end_section: bool = False) -> None:
        """Add a row; a string is text, never markup."""
        texts = tuple(Text(cell) if isinstance(cell, str) else cell for cell in cells)
        texts += (Text(),) * (len(self.columns) - len(texts))
        self.rows.append(Row(texts, style, end_section))

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        """Accept any width: the table fits itself."""
        return Measurement(1, options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table in the best layout that fits."""
        layout = Layout(self, console.encoding, options.max_width)
        if self.title:
            yield Text(self.title, style="italic")
        yield Segment.line()
        yield from layout.render()
        yield Segment.line()


class Layout:
    """Layout of a table for a terminal.

    Args:
        table: The table.
        encoding: Encoding of the stream.
        width: Width of the terminal in characters.
    """

    def __init__(self, table: FittedTable, encoding: str, width: int) -> None:
        self.table, self.width = table, width
        self.ascii = not encoding.startswith("utf")
        self.titles = [for_encoding(Text(title), encoding).plain for title in table.columns]
        self.cells = [
            [for_encoding(cell, encoding, lines=column in table.wraps) for column, cell in enumerate(row.cells)]
            for row in table.rows
        ]
        self.shown = list(range(len(table.columns)))
        """Columns that stay in the table; the others move into the line below it."""

    def render(self) -> RenderResult:
        """Render the table, and below it the columns with one value in all rows if they had to move there."""
        if self._span(self._natural(), WIDE) <= self.width:
            yield self._table(self._natural(), WIDE)
            return
        moved = self._move_equal()
        widths = self._wrapped()
        gap = next((gap for gap in (WIDE, USUAL, NARROW) if self._span(widths, gap) <= self.width), None)
        if gap is None and (squeezed := self._squeezed(widths)):
            widths, gap = squeezed, USUAL
        if gap is None:
            yield from self._blocks()
        else:
            yield self._table(widths, gap)
        if moved:
            yield Text(f"In every row: {', '.join(moved)}.", style="dim")

    def _natural(self) -> dict[int, int]:
        """Width of each column with its header in one line."""
        return {column: max(self._content(column), cell_len(self.titles[column])) for column in self.shown}

    def _wrapped(self) -> dict[int, int]:
        """Width of each column with its header wrapped to one word per line."""
        headers = {column: max(map(cell_len, self.titles[column].split()), default=0) for column in self.shown}
        return {column: max(self._content(column), headers[column]) for column in self.shown}

    def _squeezed(self, widths: dict[int, int]) -> dict[int, int] | None:
        """Narrow the columns of sentences to the width, not below their longest words if possible; None if it fails."""
        wraps = [column for column in self.shown if column in self.table.wraps]
        room = self.width - self._span({p: w for p, w in widths.items() if p not in wraps}, USUAL) - USUAL * len(wraps)
        if not wraps or room < NARROWEST_SENTENCE * len(wraps):
            return None
        longest = {column: max((_longest_word(row[column].plain) for row in self.cells), default=1) for column in wraps}
        squeezed = dict(widths)
        while sum(squeezed[column] for column in wraps) > room:
            narrowable = [column for column in wraps if squeezed[column] > longest[column]] or wraps
            squeezed[max(narrowable, key=lambda column: squeezed[column])] -= 1
        return squeezed

    def _move_equal(self) -> list[str]:
        """Remove columns with one value in all rows, from the right, until the others fit; return their values."""
        moved: list[str] = []
        for column in reversed(range(len(self.titles))):
            if self._span(self._wrapped(), USUAL) <= self.width:
                break
            values = {row[column].plain for row in self.cells}
            if len(values) == 1 and column not in self.table.keep and self.titles[column]:
                self.shown.remove(column)
                moved.insert(0, f"{self.titles[column]} {values.pop() or '-'}")
        return moved

    def _content(self, column: int) -> int:
        return max((max(map(cell_len, row[column].plain.split("\n"))) for row in self.cells), default=0)

    def _span(self, widths: dict[int, int], gap: int) -> int:
        return sum(widths.values()) + gap * (len(widths) - 1)

    def _table(self, widths: dict[int, int], gap: int) -> RichTable:
        box = Box(BOX.format(line="--" if self.ascii else "──"), ascii=self.ascii)
        padding = (0, gap // 2, 0, (gap - 1) // 2)
        table = RichTable(box=box, show_edge=False, pad_edge=False, padding=padding)
        headers = {column: _lines(self.titles[column], widths[column]) for column in self.shown}
        height = max((len(lines) for lines in headers.values()), default=1)
        for column in self.shown:
            justify: JustifyMethod = "left" if column < self.table.left or column in self.table.wraps else "right"
            header = Text("\n".join([""] * (height - len(headers[column])) + headers[column]))
            table.add_column(
                header, justify=justify, width=widths[column], no_wrap=column not in self.table.wraps, overflow="fold"
            )
        for row, cells in zip(self.table.rows, self.cells, strict=True):
            table.add_row(*(cells[column] for column in self.shown), style=row.style, end_section=row.end_section)
        return table

    def _blocks(self) -> RenderResult:
        """Render a block of lines per row, with names and paths unbroken, so that they can be copied."""
        for row, cells in zip(self.table.rows, self.cells, strict=True):
            style = Style.parse(row.style) if row.style else Style()
            yield Segment(cells[0].plain, style + Style(bold=True))
            yield Segment.line()
            for column in self.shown[1:]:
                title, cell = f"{self.titles[column]}: " if self.titles[column] else "", cells[column]
                if " " not in cell.plain and cell_len(f"  {title}{cell.plain}") > self.width:
                    yield Segment(f"  {title}{cell.plain}\n")  # the terminal folds it, and copies it whole
                elif cell.plain:
                    yield Padding(Text.assemble((title, "dim"), cell), (0, 0, 0, 2))


def _longest_word(text: str) -> int:
    """Width of the longest word, with its indentation: a line of code begins with some."""
    return max((cell_len(word) for word in re.findall(r"(?:^ +)?\S+", text, re.MULTILINE)), default=1)


def _lines(title: str, width: int) -> list[str]:
    """Wrap a header between words, into as few lines as the width allows."""
    lines: list[str] = []
    for word in title.split():
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def plain_table(
    *columns: str, left: int = 1, title: str | None = None, wraps: Collection[int] = (), keep: Collection[str] = KEPT
) -> FittedTable:
    """Make a table of text and figures that is complete at any width.

    Args:
        columns: The headers.
        left: Number of leading columns that are text.
        title: Line above the table.
        wraps: Indices of the columns of sentences.
        keep: Headers of columns that never move into the line below.
    """
    kept = [index for index, column in enumerate(columns) if column in keep]
    return FittedTable(columns, left, title, wraps, kept)


def show_table(table: Table) -> list[RenderableType]:
    """Lay out a table for the terminal: title, rows and note."""
    wraps = range(1, len(table.columns)) if table.sentences else ()
    title = f"\n{table.title}" if table.title else None
    fitted = plain_table(*table.columns, title=title, wraps=wraps)
    for index, row in enumerate(table.rows):
        fitted.add_row(*row, style="bold" if index in table.strong else None, end_section=table.sentences)
    return [fitted, *([Text(table.note, style="dim")] if table.note else [])]


def images_title(result: RunResult) -> str:
    """Name of the images at the head of a table, so that no figure is taken for that of other images."""
    name = data_set_title(result.dataset)
    return name[0].upper() + name[1:]


def run_table(result: RunResult, epochs: int) -> RenderableType:
    """Lay out the table at the end of `train`."""
    table = plain_table(
        "norm", "train accuracy", "test accuracy", "train loss", "test loss", "parameters", "lr", "images/s", "seconds",
        title=f"\n{images_title(result)}: result of the run",
    )  # fmt: skip
    diverged = result.status == "diverged"
    speed = f"{result.images_per_second:,.0f}" if result.images_per_second else "-"
    table.add_row(
        result.norm,
        "diverged" if diverged else percent(result.train_accuracy),
        "diverged" if diverged else percent(result.test_accuracy),
        "-" if result.train_loss is None else f"{result.train_loss:.3f}",
        "-" if result.test_loss is None else f"{result.test_loss:.3f}",
        f"{result.parameters:,}",
        learning_rate(result.lr, result.tuned),
        speed,
        f"{result.seconds:.1f}",
    )
    return Group(table, Text(caption([result], epochs), style="dim"))


def part_table(results: Sequence[RunResult], part: int, parts: int) -> RenderableType:
    """Lay out the runs of one part of a plan; a comparison needs all parts."""
    table = plain_table("run", "status", "test accuracy", "validation accuracy", "seconds")
    for run in results:
        name = Path(run.folder).name if run.folder else f"{run.norm} seed {run.seed}"
        accuracies = (percent(run.test_accuracy), percent(run.validation_accuracy))
        table.add_row(name, run.status, *accuracies, f"{run.seconds:.1f}")
    note = (
        f"Part {part} of {parts}. The same command without --shard shows the whole, and trains what is still missing."
    )
    return Group(table, Text(note, style="dim"))
