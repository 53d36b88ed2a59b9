"""Tables as Markdown, LaTeX and CSV files."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from normbench.analysis import Comparison, StudyResult, Table
from normbench.analysis.tables import paper_tables, runs_table, select_columns
from normbench.files import Kind, replace_text
from normbench.text import visible

FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""First characters by which a spreadsheet takes a cell for a formula; an apostrophe before it makes it text."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", '"': r"\char34{}", "`": r"\char96{}",
    "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "σ": r"$\sigma$",
} | {character: f"\\{character}" for character in "&%$#_{}"}  # fmt: skip


def _is_markdown(head: bytes) -> bool:
    return head.startswith(b"| ") and b"| --- |" in head


KINDS: dict[str, Kind] = {
    "results.csv": lambda head: head.startswith(b"schema_version,"),
    "table.md": _is_markdown,
    "table.tex": lambda head: head.startswith(rb"% \usepackage{booktabs}"),
}
"""Kind that an earlier file must be to be written over."""


def write_comparison(folder: Path, comparison: Comparison) -> list[Path]:
    """Write results.csv, and unless it was a search table.md and table.tex, over those of an earlier comparison.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    replace_text(folder / "results.csv", to_csv(runs_table(comparison.results)), KINDS["results.csv"])
    return [folder / "results.csv", *([] if comparison.searching else write_paper_tables(folder, comparison))]


def write_paper_tables(folder: Path, comparison: Comparison, columns: Sequence[str] = ()) -> list[Path]:
    """Write table.md and table.tex, over those of an earlier comparison.

    Args:
        folder: Folder of the experiment.
        comparison: Comparison that is no search.
        columns: Columns of the table of norms in their order, after the name of the norm; all by default.

    Raises:
        UsageError: There is no such column.
        RunFailedError: The folder cannot be written.
    """
    rows, *others = paper_tables(comparison)
    tables = [select_columns(rows, columns) if columns else rows, *others]
    texts = {"table.md": to_markdown(*tables), "table.tex": to_latex(*tables, label=folder.resolve().name)}
    for name, text in texts.items():
        replace_text(folder / name, text, KINDS[name])
    return [folder / name for name in texts]


def write_tables(folder: Path, result: StudyResult) -> Path:
    """Write tables.md: every table of a study as Markdown, with the conditions that it holds for.

    Raises:
        RunFailedError: The folder cannot be written.
    """
    tables = [table.model_copy(update={"note": " ".join([table.note, result.caption])}) for table in result.tables]
    replace_text(folder / "tables.md", to_markdown(*tables), _is_markdown)
    return folder / "tables.md"


def _caption(table: Table) -> str:
    """Title and note of a table as one text."""
    title = table.title if table.title.endswith((".", "?", ":")) or not table.note else f"{table.title}."
    return " ".join(part for part in (title, table.note) if part)


def to_csv(table: Table) -> str:
    """Render a table as CSV, without title and note."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(map(_escape_csv, table.rows))
    return text.getvalue()


def _escape_csv(cells: Iterable[str]) -> list[str]:
    """Show control characters, and keep a spreadsheet from taking text for a formula; numbers stay numbers."""
    shown = map(visible, cells)
    return [f"'{cell}" if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell) else cell for cell in shown]


def to_markdown(*tables: Table) -> str:
    """Render tables as those of GitHub, each with its title and note below."""
    return "\n".join(map(_markdown, tables))


def _markdown(table: Table) -> str:
    rule = ["---", *["---" if table.sentences else "---:"] * (len(table.columns) - 1)]
    lines = [map(_escape_markdown, table.columns), rule, *(map(_escape_markdown, row) for row in table.rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{body}\n\n{_escape_markdown(_caption(table))}\n"


def _escape_markdown(text: str) -> str:
    """Escape every character that has a meaning in Markdown or HTML; a line break would end a cell."""
    return re.sub(r"([\\`*_\[\]<>|~])", r"\\\1", " ".join(visible(text).split()))


def to_latex(*tables: Table, label: str = "table") -> str:
    r"""Render each table as a `table` environment, for `\input` into a document that loads booktabs.

    Args:
        tables: Tables to render.
        label: Name that the `\label` of the first one is made of, as `tab:NAME`; further ones are `tab:NAME-2`, ...
    """
    name = re.sub("[^A-Za-z0-9]+", "-", label).strip("-") or "table"
    names = [name, *(f"{name}-{number}" for number in range(2, len(tables) + 1))]
    return "% \\usepackage{booktabs}\n" + "\n".join(map(_latex, tables, names))


def _latex(table: Table, label: str) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"    {' & '.join(map(_escape_latex, cells))} \\\\"

    columns = ("l" if table.sentences else "r") * (len(table.columns) - 1)
    return "\n".join([
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escape_latex(_caption(table))}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{l{columns}}}",
        r"    \toprule",
        line(table.columns),
        r"    \midrule",
        *map(line, table.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
        "",
    ])  # fmt: skip


def _escape_latex(text: str) -> str:
    """Escape every character that has a meaning in LaTeX, in one pass: escapes are not escaped again."""
    escaped = "".join(LATEX.get(character, character) for character in " ".join(visible(text).split()))
    escaped = re.sub(r"^-(?=\d)", "$-$", escaped)  # a hyphen is no minus sign
    escaped = re.sub(r"([-',])(?=\1)", r"\1{}", escaped)  # two of them would be set as one sign, in --seeds, too
    # At the beginning of a line these would be read as an option of the line break before.
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped
