"""Settings of the study `rank`."""

from typing import Annotated, Literal

from pydantic import Field

from normbench.config import PARAMETER_BUDGET
from normbench.config.settings import BatchSize, Frozen, LearningRate, NormNames, Number, Switch, Whole
from normbench.studies.study import Flag

Blocks = Literal["runs", "networks"]


class RankSettings(Frozen):
    """Norms, networks and batch sizes; None takes the recipe's norms and batch size, and all networks."""

    norms: NormNames | None = None
    networks: Annotated[tuple[str, ...] | None, Flag(metavar="A,B,C")] = Field(
        None, min_length=1, max_length=64, description="Networks, separated by commas, by default all."
    )
    batch_sizes: Annotated[tuple[BatchSize, ...] | None, Flag(metavar="A,B,C")] = Field(
        None, min_length=1, max_length=64, description="Batch sizes, separated by commas, by default the recipe's."
    )
    rates: Annotated[tuple[LearningRate, ...] | None, Flag("Training", "A,B,C")] = Field(
        None,
        min_length=2,
        max_length=64,
        description="Learning rates to try first for every norm in every network, on a validation split; "
        "by default those of the recipes.",
    )
    blocks: Annotated[Blocks, Flag(metavar="NAME")] = Field(
        "runs", description="Rank by seed (runs), or by mean over the seeds (networks)."
    )
    finished: Annotated[Switch, Flag()] = Field(
        False, description="Train nothing: rank the runs that are finished already."
    )
    margin: Number = Field(0.5, gt=0.0, le=100.0)
    """Percentage points within which norms count as alike."""
    max_params: Whole = Field(PARAMETER_BUDGET, ge=1, le=10_000_000)
