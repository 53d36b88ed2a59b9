"""Settings of the study `mistakes`."""

from typing import Annotated

from pydantic import Field

from normbench.config.settings import Frozen
from normbench.studies.study import Flag


class MistakesSettings(Frozen):
    """Mistakes to make; None makes all of them."""

    only: Annotated[tuple[str, ...] | None, Flag(metavar="A,B")] = Field(
        None, max_length=100, description="Only these mistakes, separated by commas."
    )
