"""The report of an experiment: one HTML file that needs nothing beside it, and the plots as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from normbench import __version__
from normbench.analysis import MARGIN, read_study_result
from normbench.config import MachineConfig
from normbench.files import HEAD, REGULAR, in_words, kind_of, replace_bytes, replace_text
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
    replace_text(folder / REPORT, render(content), _is_report)
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
        replace_text(folder / f"{plot.name}.svg", plot.svg, _is_plot)
        replace_bytes(folder / f"{plot.name}.png", plot.png, _is_png)
    written = [folder / f"{plot.name}{ending}" for plot in plots for ending in (".svg", ".png")]
    earlier = [path for name in OWN for path in folder.glob(f"{name}.svg") if path not in written and _is_ours(path)]
    for old in earlier:
        for path in (old.with_suffix(".png"), old):
            if kind_of(path) == REGULAR:
                path.unlink()
    return written


def _is_ours(path: Path) -> bool:
    """Whether a file is a plot that a report has left: a picture of the user's may have such a name, too."""
    if kind_of(path) != REGULAR:
        return False
    with path.open("rb") as file:
        return _is_plot(file.read(HEAD))


def _is_plot(head: bytes) -> bool:
    return b'<svg class="plot" role="img"' in head


def _is_png(head: bytes) -> bool:
    return head.startswith(b"\x89PNG")


def _is_report(head: bytes) -> bool:
    return b'name="generator" content="normbench' in head
