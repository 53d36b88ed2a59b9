"""Settings of the study `cost`."""

from typing import Annotated

from pydantic import Field

from normbench.config.settings import Frozen, NormNames, Whole
from normbench.studies.study import Flag


class CostSettings(Frozen):
    """Norms to time (None: every built-in one), and number of rounds."""

    norms: NormNames | None = None
    repeats: Annotated[Whole, Flag("Training")] = Field(15, ge=1, le=1000, description="Timed rounds.")
