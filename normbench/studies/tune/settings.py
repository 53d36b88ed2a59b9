"""Settings of the study `tune`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from normbench.config import PARAMETER_BUDGET
from normbench.config.settings import Frozen, NormNames, Whole
from normbench.studies.study import Flag

Sampler = Literal["sobol", "tpe", "grid"]


class TuneSettings(Frozen):
    """Norms, budget and sampler; the space is the recipe's `[search]`."""

    norms: NormNames | None = None
    trials: Annotated[Whole, Flag(metavar="N")] = Field(
        16, ge=2, le=1000, description="Number of settings tried per norm."
    )
    sampler: Annotated[Sampler, Flag(metavar="NAME")] = Field("sobol", description="Sampler of the settings.")
    confirm: Annotated[Whole, Flag(metavar="K")] = Field(
        0, ge=0, le=100, description="Train the best K settings of each norm on more seeds, and choose by their mean."
    )
    confirm_seeds: Annotated[Whole, Flag(metavar="N")] = Field(
        3, ge=2, le=100, description="Seeds of a confirmed setting, that of the search among them."
    )
    max_params: Whole = Field(PARAMETER_BUDGET, ge=1, le=10_000_000)

    def overrides(self) -> dict[str, Any]:
        """Return nested settings that override the recipe."""
        return {"norms": self.norms} if self.norms else {}
