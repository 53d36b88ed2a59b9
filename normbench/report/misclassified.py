"""Misclassified test images."""

from collections.abc import Sequence

from normbench.analysis import Series
from normbench.errors import NormbenchError
from normbench.report.elements import Element, Gallery, Picture, Section, Text
from normbench.report.experiment import Experiment
from normbench.report.progress import Progress, no_progress
from normbench.report.saved import SavedNetworks
from normbench.report.select import Finished
from normbench.runs.archive import MODEL, kind_of_file

IMAGES = 2000
"""Test images that each norm classifies for it: all of them would take longer than the rest of the report."""
MOST, FEWEST, TOGETHER = 12, 4, 60
"""Pictures per norm, fewer of many norms: each adds 3 kB to the page."""


def gallery(experiment: Experiment, saved: SavedNetworks, progress: Progress = no_progress) -> list[Section]:
    """Show the most confident mistakes of one run per norm; empty where no run has weights.

    The images are those of the data set. Whatever they need and is missing costs the gallery alone.
    """
    compared = experiment.comparison
    if compared.searching:
        return []
    runs = [(series, run) for series in compared.series if (run := _with_weights(experiment.done(series)))]
    if not runs:
        return []
    most = max(FEWEST, min(MOST, TOGETHER // len(runs)))
    elements: list[Element] = []
    reasons: dict[str, list[str]] = {}
    for series, run in runs:
        progress(f"classifying test images with {run.path.name}")
        try:
            elements += _pictures(series, run, saved, most)
        except NormbenchError as error:
            reasons.setdefault(error.message, []).append(series.label)
    missing = [f"{', '.join(labels)}: {reason}." for reason, labels in reasons.items()]
    if not elements:
        return [Section("mistakes", "Misclassified images", missing=" ".join(missing))]
    return [Section("mistakes", "Misclassified images", [*elements, *(Text(text, "warning") for text in missing)])]


def _with_weights(runs: Sequence[Finished]) -> Finished | None:
    """Find the first run that has weights, in its folder or in an archive."""
    return next((run for run in runs if kind_of_file(run.path / MODEL) is not None), None)


def _pictures(series: Series, run: Finished, saved: SavedNetworks, most: int) -> list[Element]:
    mistakes = saved.evaluator.mistakes(run, IMAGES, most)
    pictures = [
        Picture(
            uri=mistake.picture,
            description=f"{mistake.truth}, classified as {mistake.predicted}",
            lines=(f"{mistake.truth} → {mistake.predicted}", f"{100 * mistake.confidence:.0f} %"),
        )
        for mistake in mistakes.selected
    ]
    number = f"{mistakes.number:,} of the first {mistakes.images:,} test images are misclassified"
    shown = f"; the {len(pictures)} with the highest confidence" if len(pictures) < mistakes.number else ""
    title = f"{series.label}, seed {run.result.seed}: {number}{shown}"
    if not pictures:
        return [Text(f"{title}.")]
    return [Gallery(title, pictures)]
