"""The page of an experiment, section by section, before it becomes HTML."""

from collections.abc import Sequence
from dataclasses import dataclass

from normbench.config import MachineConfig
from normbench.report import sections
from normbench.report import setup as background
from normbench.report.conclusions import answer
from normbench.report.confusion import find_mistakes
from normbench.report.elements import Section
from normbench.report.experiment import Experiment
from normbench.report.figure import Plot


@dataclass(frozen=True)
class Page:
    """What the template is filled with."""

    name: str
    answer: Sequence[str]
    warnings: Sequence[str]
    sections: Sequence[Section]
    left_out: Sequence[str]
    """Sections and runs that are not in it, a sentence each."""

    @property
    def plots(self) -> list[Plot]:
        """Every plot, in the order of the page."""
        return [plot for section in self.sections for plot in section.plots]


def page(experiment: Experiment, machine: MachineConfig) -> Page:
    """Measure what is still to be measured, and lay everything out."""
    found = find_mistakes(experiment, machine)
    laid_out = [
        sections.comparison(experiment),
        *sections.sensitivity(experiment),
        sections.differences(experiment),
        sections.curves(experiment),
        sections.classes(found),
        sections.confusions(found),
        background.norms(experiment),
        background.configuration(experiment),
        background.reproduce(experiment),
    ]
    missing = [f"{section.title}: {section.missing}" for section in laid_out if section.missing]
    runs = [f"{one.run}: {one.reason}" for one in experiment.left_out]
    return Page(experiment.name, answer(experiment), experiment.warnings, laid_out, missing + runs)
