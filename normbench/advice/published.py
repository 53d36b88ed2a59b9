"""Measured results of the documentation.

They are quoted where nothing was measured on a machine yet. docs/published.py reads published.json from the tables.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from normbench.config.norm_names import NormName


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PublishedValue(_Frozen):
    """Mean over the seeds, and the half width of its 95 % interval where there are several; fractions."""

    mean: float
    half_width: float | None


class Published(_Frozen):
    """Measurement that a page of the documentation states."""

    study: str
    part: str
    """Recipe, mistake, depth or learning rate; empty if there is no choice."""
    page: str
    caption: str
    """Conditions: data, network, training, seeds, hardware, versions."""
    quantity: str
    seeds: int
    batch_size: int
    values: Mapping[str, PublishedValue | None]
    """By norm, in a stack of layers with its position; of a mistake: the right and the wrong way. None where a run
    diverged."""
    wrong: str = ""
    """Description of a mistake."""
    verdict: str = ""


class _File(_Frozen):
    schema_version: Literal[1]
    measurements: tuple[Published, ...]


@cache
def published() -> tuple[Published, ...]:
    """Return all measurements, in the order of the documentation."""
    text = (files("normbench.advice") / "published.json").read_text(encoding="utf-8")
    return _File.model_validate_json(text).measurements


def of_study(study: str, part: str | None = None) -> list[Published]:
    """Return the measurements of a study, or of a part of it."""
    return [entry for entry in published() if entry.study == study and part in (None, entry.part)]


def of_norm(norm: str) -> Iterator[tuple[Published, str, PublishedValue | None]]:
    """Yield the measurements with a norm: each with the norm's name there, and its value."""
    name = str(NormName.parse(norm))
    for entry in published():
        for label, value in entry.values.items():
            if entry.study != "mistakes" and label.split()[0] == name:
                yield entry, label, value


def documented_text(value: PublishedValue | None) -> str:
    """Format a documented value in percent, with the half width of its interval if it has one."""
    if value is None:
        return "diverged"
    return (
        f"{100 * value.mean:.2f} %"
        if value.half_width is None
        else (f"{100 * value.mean:.2f} ± {100 * value.half_width:.2f} %")
    )
