"""Settings of the study `verify`."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from normbench.config.norm_names import LABEL_OF_ARGUMENTS, NormName
from normbench.config.settings import Frozen, NormNames, Seed, Whole
from normbench.studies.study import Flag

LONGEST_NAME = 80
"""Largest number of characters of a factory's name in the name of a folder."""

DEFAULT_NETWORK = "c10"


class VerifySettings(Frozen):
    """Norms to check (None: every built-in one, weight standardization and dropout), and their inputs."""

    norms: NormNames | None = None
    norm: str | None = None
    reference: Annotated[str | None, Flag(metavar="FUNCTION")] = Field(
        None, description="Definition of a custom norm: file.py:function of float64 arrays."
    )
    network: Annotated[str, Flag(metavar="NETWORK")] = Field(
        DEFAULT_NETWORK, description="Network whose layers' shapes are among the inputs."
    )
    seed: Seed = 0
    cases: Annotated[Whole, Flag()] = Field(
        12, ge=1, le=1000, description="Ordinary random inputs, in addition to the hard ones."
    )

    @model_validator(mode="after")
    def _refuse_two_selections(self) -> Self:
        if self.norm is not None and self.norms is not None:
            raise ValueError("--norm excludes --norms, --all and --every")
        return self

    @property
    def requested(self) -> tuple[str, ...]:
        """Norms that were asked for by name; empty for everything that can be verified."""
        return self.norms or (() if self.norm is None else (self.norm,))


def variant(settings: VerifySettings) -> str:
    """Return the suffix of the folder, one per norm and network (custom ones with their file): all results stay."""
    parts = [
        _joined([_label(norm) for norm in settings.requested]),
        _label(settings.network) if settings.network != DEFAULT_NETWORK else "",
    ]
    return "-".join(filter(None, parts))


def _joined(labels: list[str]) -> str:
    text = "-".join(labels)
    return text if len(labels) < 2 or len(text) < LABEL_OF_ARGUMENTS else f"{len(labels)}-norms-{_digest(text)}"


def _label(text: str) -> str:
    spec = NormName.parse(text)  # networks are spelt as norms are, without arguments
    if not spec.is_custom:
        is_whole = len(spec.label) < LABEL_OF_ARGUMENTS  # a longer one may have lost arguments
        return spec.label if is_whole else f"{spec.label}-{_digest(str(spec))}"
    source, _, factory = spec.base.rpartition(":")
    path = str(Path(source).expanduser().resolve()) if source.endswith(".py") else source
    label = replace(spec, base=factory).label[:LONGEST_NAME]
    return f"{label}-{_digest(str(replace(spec, base=f'{path}:{factory}')))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
