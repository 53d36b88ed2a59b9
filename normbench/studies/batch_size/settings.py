"""Settings of `batch-size`, as overrides of its recipe."""

from typing import Annotated, Any

from pydantic import Field

from normbench.config import PARAMETER_BUDGET
from normbench.config.settings import BatchSize, Frozen, LrScaling, NormNames, Whole
from normbench.studies.study import Flag


class BatchSizeSettings(Frozen):
    """Norms and batch sizes; None takes the recipe's."""

    norms: NormNames | None = None
    sizes: Annotated[tuple[BatchSize, ...] | None, Flag(metavar="A,B,C")] = Field(
        None, min_length=1, max_length=64, description="Batch sizes, separated by commas, by default the recipe's."
    )
    scaling: Annotated[LrScaling | None, Flag("Training", "NAME")] = Field(
        None, description="Scaling of the learning rate with the batch size, by default the recipe's."
    )
    max_params: Whole = Field(PARAMETER_BUDGET, ge=1, le=10_000_000)

    def overrides(self) -> dict[str, Any]:
        """Return nested settings that override the recipe."""
        sweep = {"batch_sizes": self.sizes, "lr_scaling": self.scaling}
        sweep = {key: value for key, value in sweep.items() if value is not None}
        return ({"norms": self.norms} if self.norms else {}) | ({"sweep": sweep} if sweep else {})
