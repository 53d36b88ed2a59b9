"""Writing of a report: one HTML file that needs nothing beside it, and the plots as files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from normbench.analysis import MARGIN, read_study_result
from normbench.config import MachineConfig
from normbench.errors import UsageError
from normbench.files import HEAD, REGULAR, in_words, kind_of, replace_bytes, replace_text
from normbench.report import sections, setup
from normbench.report.conclusions import conclusions
from normbench.report.confusion import collect_confusions
from normbench.report.elements import Page, Section
from normbench.report.experiment import Experiment, collect
from normbench.report.export import write_paper_tables
from normbench.report.figure import Plot
from normbench.report.html import page_to_html
from normbench.report.misclassified import gallery
from normbench.report.progress import Progress, no_progress
from normbench.report.saved import SavedNetworks
from normbench.report.study import study_page

REPORT, PLOTS = "report.html", "plots"
ENDINGS = (".svg", ".png", ".pdf")
PLOT_NAMES = ("accuracies", "differences", "curve-*", "per-class", "confusion-*", "chart-*")
"""Plots that a report can have, as file names without ending."""


@dataclass(frozen=True)
class Written:
    """Files of a report, with its conclusions."""

    report: Path
    plots: tuple[Path, ...]
    tables: tuple[Path, ...]
    """The files table.md and table.tex, if columns were given."""
    conclusions: tuple[str, ...]
    left_out: tuple[str, ...]
    """Sentences on sections and runs that are not in it."""


def write_report(
    folder: Path,
    machine: MachineConfig,
    control: str | None = None,
    margin: float = MARGIN,
    *,
    columns: Sequence[str] = (),
    trust: bool = False,
    progress: Progress = no_progress,
) -> Written:
    """Write an experiment's report and plots into its folder, over those of an earlier report.

    With `columns`, table.md and table.tex are written, too, with these columns of the table of norms.

    The folder of a study is reported by its result, any other experiment by its runs. The code of custom norms and
    networks that run folders keep runs only with `trust`.

    Raises:
        UsageError: No run has a result, or none has the control norm, or there are no such columns.
        RunFailedError: The folder cannot be written, or the result of the study in it is damaged.
    """
    result = read_study_result(folder)
    tables: list[Path] = []
    if result is None:
        progress("reading the runs")
        experiment = collect(folder, control, margin)
        if columns:
            tables = _write_tables(experiment, columns)
        page = experiment_page(experiment, SavedNetworks(machine, trust=trust), progress)
    else:
        if columns:
            raise UsageError("a study has no table of norms", "Leave out --columns: its tables are in tables.md.")
        page = study_page(folder.resolve().name, result, progress)
    progress("writing the files")
    plots = _write_plots(folder / PLOTS, page.plots)
    replace_text(folder / REPORT, page_to_html(page), _is_report)
    return Written(folder / REPORT, tuple(plots), tuple(tables), tuple(page.conclusions), tuple(page.left_out))


def _write_tables(experiment: Experiment, columns: Sequence[str]) -> list[Path]:
    if experiment.comparison.searching:
        raise UsageError("a search has no table for a paper", "Leave out --columns: compare with its settings first.")
    return write_paper_tables(experiment.folder, experiment.comparison, columns)


def experiment_page(experiment: Experiment, saved: SavedNetworks, progress: Progress = no_progress) -> Page:
    """Collect confusion matrices, and lay out the page of an experiment."""
    progress("reading the confusion matrices")
    confusions = collect_confusions(experiment, saved, progress)
    laid_out: list[Section] = []
    steps: tuple[tuple[str, Callable[[], Sequence[Section]]], ...] = (
        ("the comparison", lambda: [sections.comparison(experiment)]),
        ("the settings of the search", lambda: sections.sensitivity(experiment)),
        ("the paired differences", lambda: [sections.differences(experiment)]),
        ("the training curves", lambda: [sections.curves(experiment)]),
        ("the accuracy by class", lambda: [sections.classes(confusions)]),
        ("the confusion matrices", lambda: [sections.confusions(confusions)]),
        ("the misclassified images", lambda: gallery(experiment, saved, progress)),
        ("the norms", lambda: [setup.norms(experiment)]),
        ("the configuration", lambda: [setup.configuration(experiment), setup.reproduce(experiment)]),
    )
    for title, make in steps:
        progress(title)
        laid_out += make()
    missing = [f"{section.title}: {section.missing}" for section in laid_out if section.missing]
    runs = [f"{run.run}: {run.reason}" for run in experiment.left_out]
    compared = experiment.comparison
    return Page(experiment.name, conclusions(compared), compared.warnings, laid_out, missing + runs)


def _write_plots(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """Write every plot in all formats, and remove those of an earlier report that this one does not have."""
    with in_words(folder):
        folder.mkdir(exist_ok=True)
    for plot in plots:
        replace_text(folder / f"{plot.name}.svg", plot.svg, _is_plot)
        replace_bytes(folder / f"{plot.name}.png", plot.png, _is_png)
        replace_bytes(folder / f"{plot.name}.pdf", plot.pdf, _is_pdf)
    written = [folder / f"{plot.name}{ending}" for plot in plots for ending in ENDINGS]
    earlier = [path for name in PLOT_NAMES for path in folder.glob(f"{name}.svg") if path not in written]
    for old in filter(_is_ours, earlier):
        for ending in reversed(ENDINGS):  # the SVG last: it shows whose they are
            if kind_of(path := old.with_suffix(ending)) == REGULAR:
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


def _is_pdf(head: bytes) -> bool:
    return head.startswith(b"%PDF")


def _is_report(head: bytes) -> bool:
    return b'name="generator" content="normbench' in head
