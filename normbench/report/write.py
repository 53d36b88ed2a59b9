"""Writing of a report: one HTML file that needs nothing beside it, and the plots as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from normbench.analysis import MARGIN, read_study_result
from normbench.config import MachineConfig
from normbench.files import HEAD, REGULAR, in_words, kind_of, replace_bytes, replace_text
from normbench.report import sections, setup
from normbench.report.conclusions import conclusions
from normbench.report.confusion import collect_confusions
from normbench.report.elements import Page
from normbench.report.experiment import Experiment, collect
from normbench.report.figure import Plot
from normbench.report.html import page_to_html
from normbench.report.study import study_page
from normbench.runs import Permission

REPORT, PLOTS = "report.html", "plots"
PLOT_NAMES = ("differences", "curve-*", "per-class", "confusion-*", "chart-*")
"""Plots that a report can have, as file names without ending."""


@dataclass(frozen=True)
class Written:
    """Files of a report, with its conclusions."""

    report: Path
    plots: tuple[Path, ...]
    conclusions: tuple[str, ...]
    left_out: tuple[str, ...]
    """Sentences on sections and runs that are not in it."""


def write_report(
    folder: Path, machine: MachineConfig, control: str | None = None, margin: float = MARGIN, *, trust: bool = False
) -> Written:
    """Write an experiment's report and plots into its folder, over those of an earlier report.

    The folder of a study is reported by its result, any other experiment by its runs. The code of custom norms and
    networks that run folders keep runs only with `trust`, and only for runs that kept no confusions.

    Raises:
        UsageError: No run has a result, or none has the control norm.
        RunFailedError: The folder cannot be written, or the result of the study in it is damaged.
    """
    result = read_study_result(folder)
    if result is None:
        page = experiment_page(collect(folder, control, margin), machine, Permission(trust=trust))
    else:
        page = study_page(folder.resolve().name, result)
    plots = _write_plots(folder / PLOTS, page.plots)
    replace_text(folder / REPORT, page_to_html(page), _is_report)
    return Written(folder / REPORT, tuple(plots), tuple(page.conclusions), tuple(page.left_out))


def experiment_page(experiment: Experiment, machine: MachineConfig, permission: Permission) -> Page:
    """Collect confusion matrices, and lay out the page of an experiment."""
    confusions = collect_confusions(experiment, machine, permission)
    laid_out = [
        sections.comparison(experiment),
        *sections.sensitivity(experiment),
        sections.differences(experiment),
        sections.curves(experiment),
        sections.classes(confusions),
        sections.confusions(confusions),
        setup.norms(experiment),
        setup.configuration(experiment),
        setup.reproduce(experiment),
    ]
    missing = [f"{section.title}: {section.missing}" for section in laid_out if section.missing]
    runs = [f"{run.run}: {run.reason}" for run in experiment.left_out]
    compared = experiment.comparison
    return Page(experiment.name, conclusions(compared), compared.warnings, laid_out, missing + runs)


def _write_plots(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """Write every plot as SVG and PNG, and remove those of an earlier report that this one does not have."""
    with in_words(folder):
        folder.mkdir(exist_ok=True)
    for plot in plots:
        replace_text(folder / f"{plot.name}.svg", plot.svg, _is_plot)
        replace_bytes(folder / f"{plot.name}.png", plot.png, _is_png)
    written = [folder / f"{plot.name}{ending}" for plot in plots for ending in (".svg", ".png")]
    earlier = [path for name in PLOT_NAMES for path in folder.glob(f"{name}.svg") if path not in written]
    for old in filter(_is_ours, earlier):
        for path in (old.with_suffix(".png"), old):
            if kind_of(path) == REGULAR:
                path.unlink()
    return written


def _is_ours(path: Path) -> bool:
    """True for a plot of an earlier report: a picture of the user's may have such a name, too."""
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
