"""Settings of the study `verify`."""

import hashlib
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from normbench.config.norm_names import NormName
from normbench.config.settings import Frozen, Seed, Whole
from normbench.studies.study import Flag

LONGEST_NAME = 80
"""Largest number of characters of a factory's name in the name of a folder."""

DEFAULT_NETWORK = "c10"


class VerifySettings(Frozen):
    """Norm to check (None: every built-in one), and its inputs."""

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


def variant(settings: VerifySettings) -> str:
    """Return the suffix of the folder, one per norm and network (custom ones with their file): all results stay."""
    parts = [
        _label(settings.norm) if settings.norm is not None else "",
        _label(settings.network) if settings.network != DEFAULT_NETWORK else "",
    ]
    return "-".join(filter(None, parts))


def _label(text: str) -> str:
    spec = NormName.parse(text)  # networks are spelt as norms are, without arguments
    if not spec.is_custom:
        return spec.label
    source, name = spec.base.rpartition(":")[0], str(spec)[spec.base.rindex(":") + 1 :]
    path = str(Path(source).expanduser().resolve()) if source.endswith(".py") else source
    plain = re.sub(r"[^A-Za-z0-9_+-]", "-", name)[:LONGEST_NAME]
    return f"{plain}-{hashlib.sha256(f'{path}:{name}'.encode()).hexdigest()[:8]}"
