"""HTML of a page, from templates. Everything is escaped."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from normbench import __version__
from normbench.analysis import Table
from normbench.text import visible

if TYPE_CHECKING:
    from normbench.report.elements import Page


def page_to_html(page: "Page") -> str:
    """Render a page as one file that needs nothing beside it."""
    return _environment().get_template("report.html.j2").render(page=page, version=__version__)


def to_html(table: Table, ident: str = "table") -> str:
    """Render a table with the markup of a report; `ident` is the prefix of its ids."""
    macro = _environment().get_template("elements.html.j2").module.table  # type: ignore[attr-defined]
    return str(macro(table, ident)).strip()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip


def _shown(value: object) -> object:
    """Show the control characters of an expression's value; markup stays markup."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # made by us, and escaped where it was made
    return visible(value) if isinstance(value, str) else value
