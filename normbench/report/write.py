"""The report of an experiment: one HTML file that needs nothing beside it, and the plots as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from normbench import __version__
from normbench.analysis import MARGIN, read_study_result
from normbench.config import MachineConfig
from normbench.files import in_words, replace, replace_text
from normbench.report.experiment import collect
from normbench.report.figure import Plot
from normbench.report.page import Page, page
from normbench.report.study import finding_page
from normbench.text import visible

TEMPLATES = Path(__file__).parent / "templates"
REPORT, PLOTS = "report.html", "plots"
OWN = ("differences", "curve-*", "per-class", "confusion-*", "chart-*")
"""The plots that a report can have, as file names without ending."""


@dataclass(frozen=True)
class Written:
    """What was written, and what it says first."""

    report: Path
    plots: tuple[Path, ...]
    answer: tuple[str, ...]
    left_out: tuple[str, ...]
    """Sections and runs that are not in it, with the reason, a sentence each."""


def write_report(folder: Path, machine: MachineConfig, control: str | None = None, margin: float = MARGIN) -> Written:
    """Write an experiment's report and plots into its folder, over those of an earlier report.

    A study that has left a finding there is reported by it, any other experiment by its runs.

    Raises:
        UsageError: No run has a result, or none has the control norm.
        RunFailedError: The folder cannot be written, or the finding in it is damaged.
    """
    finding = read_study_result(folder)
    if finding is None:
        content = page(collect(folder, control, margin), machine)
    else:
        content = finding_page(folder.resolve().name, finding)
    plots = _write_plots(folder / PLOTS, content.plots)
    replace_text(folder / REPORT, render(content))
    return Written(folder / REPORT, tuple(plots), tuple(content.answer), tuple(content.left_out))


def render(content: Page) -> str:
    """The page as HTML; whatever came from the user is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(page=content, version=__version__)


def _shown(value: object) -> object:
    """What an expression of the template gives, its control characters shown; markup stays markup."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # made by us, and escaped where it was made
    return visible(value) if isinstance(value, str) else value


def _write_plots(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """Every plot as SVG and PNG; those of an earlier report that this one does not have are removed."""
    with in_words(folder):
        folder.mkdir(exist_ok=True)
    for plot in plots:
        replace_text(folder / f"{plot.name}.svg", plot.svg)
        replace(folder / f"{plot.name}.png", partial(_write_bytes, plot.png))
    written = [folder / f"{plot.name}{ending}" for plot in plots for ending in (".svg", ".png")]
    for old in (path for name in OWN for ending in ("svg", "png") for path in folder.glob(f"{name}.{ending}")):
        if old not in written:
            old.unlink(missing_ok=True)
    return written


def _write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)
