"""The files of a comparison: every run as CSV, and its tables in Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from normbench.analysis import StudyResult, conditions
from normbench.analysis import format as words
from normbench.analysis.comparison import Comparison
from normbench.files import Kind, replace_text
from normbench.runs import RunResult
from normbench.text import visible


@dataclass(frozen=True)
class PaperTable:
    """A table with its caption; the first column is words, the others are figures. Not escaped for any format."""

    caption: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


def _is_markdown(head: bytes) -> bool:
    return head.startswith(b"| ") and b"| --- |" in head


KINDS: dict[str, Kind] = {
    "results.csv": lambda head: head.startswith(b"schema_version,"),
    "table.md": _is_markdown,
    "table.tex": lambda head: head.startswith(rb"% \usepackage{booktabs}"),
}
"""What an earlier file must be to be written over."""


def write_comparison(folder: Path, comparison: Comparison, epochs: int) -> list[Path]:
    """Write results.csv, and unless it was a search table.md and table.tex, over those of an earlier comparison.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    texts = {"results.csv": results_csv(comparison.results)}
    if not comparison.searching:
        tables = paper_tables(comparison, epochs)
        texts |= {"table.md": markdown(tables), "table.tex": latex(tables)}
    for name, text in texts.items():
        replace_text(folder / name, text, KINDS[name])
    return [folder / name for name in texts]


def write_tables(folder: Path, finding: StudyResult) -> Path:
    """Write tables.md: every table of a finding as Markdown, and what they hold for.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    tables = [
        PaperTable(" ".join([f"{table.title}.", table.note, finding.conditions]), table.columns, table.rows)
        for table in finding.tables
    ]
    replace_text(folder / "tables.md", markdown(tables), _is_markdown)
    return folder / "tables.md"


def results_csv(results: Iterable[RunResult]) -> str:
    """One line a run with every field of its result; what a run does not have is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(RunResult.model_fields), lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow({name: _csv_cell(value) for name, value in result.model_dump(mode="json").items()})
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula, nor a terminal for a command; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def paper_tables(comparison: Comparison, epochs: int) -> list[PaperTable]:
    """The rows, with the conditions as caption; and the paired differences, where there are some."""
    problems = [f"{row.norm}: {problem}." for row in comparison.rows for problem in row.problems]
    caption = " ".join([conditions(comparison.results, epochs), *problems, *(f"{w}." for w in comparison.warnings)])
    tables = [PaperTable(caption, words.ROW_COLUMNS, [words.row_cells(row) for row in comparison.rows])]
    if comparison.is_paired:
        found = comparison.differences
        caption = f"{words.difference_title(found)}. {words.difference_notes(found)}"
        tables.append(PaperTable(caption, words.DIFFERENCE_COLUMNS, [words.difference_cells(one) for one in found]))
    return tables


def markdown(tables: Iterable[PaperTable]) -> str:
    """GitHub's tables, each with its caption below."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: PaperTable) -> str:
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    lines = [map(_escape_markdown, table.columns), rule, *(map(_escape_markdown, line) for line in table.lines)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{body}\n\n{_escape_markdown(table.caption)}\n"


def _escape_markdown(text: str) -> str:
    """Every character that Markdown or the HTML in it could take for its own; a line break would end a cell."""
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", " ".join(visible(text).split()))


def latex(tables: Iterable[PaperTable]) -> str:
    r"""A `table` environment each, for `\input` into a document that loads booktabs."""
    return "% \\usepackage{booktabs}\n" + "\n".join(_latex(table) for table in tables)


def _latex(table: PaperTable) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"    {' & '.join(map(_escape_latex, cells))} \\\\"

    return "\n".join([
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escape_latex(table.caption)}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"    \toprule",
        line(table.columns),
        r"    \midrule",
        *map(line, table.lines),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        "",
    ])  # fmt: skip


FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""What a spreadsheet takes a cell for a formula by; an apostrophe before it makes it a text."""

LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "σ": r"$\sigma$",
} | {character: f"\\{character}" for character in "&%$#_{}"}  # fmt: skip


def _escape_latex(text: str) -> str:
    """Every character that LaTeX takes for its own, in one pass: what an escape is made of is not escaped again."""
    escaped = "".join(LATEX.get(character, character) for character in " ".join(visible(text).split()))
    escaped = re.sub(r"^-(?=\d)", "$-$", escaped)  # a hyphen is no minus sign
    # At the head of a line these would be read as an option of the line break before.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped
