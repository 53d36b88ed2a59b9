"""Settings of `cost`."""

from typing import Annotated

from pydantic import Field

from normbench.config.settings import Frozen, NormNames, Whole
from normbench.studies.study import Flag


class CostSettings(Frozen):
    """Norms to time, and how often; norms None takes every registered one."""

    norms: NormNames | None = None
    repeats: Annotated[Whole, Flag("Training")] = Field(
        15, ge=1, le=1000, description="How often everything is timed. [default: 15]"
    )
