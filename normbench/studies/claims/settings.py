"""Settings of `claims`."""

from typing import Annotated

from pydantic import Field

from normbench.config import PARAMETER_BUDGET
from normbench.config.settings import Frozen, LearningRate, NormNames, Number, Switch, Whole
from normbench.studies.study import Flag

Gain = Annotated[Number, Field(gt=0.0, le=1000.0)]


class ClaimsSettings(Frozen):
    """Norms, learning rates and initial gains; None takes the recipe's norms. The control `none` is always trained."""

    norms: NormNames | None = None
    rates: Annotated[tuple[LearningRate, ...], Flag("Training", "A,B,C")] = Field(
        (0.01, 0.03, 0.1, 0.3, 1.0), min_length=2, max_length=64,
        description="Learning rates, separated by commas.",
    )  # fmt: skip
    gains: Annotated[tuple[Gain, ...], Flag("Training", "A,B,C")] = Field(
        (0.1, 1.0, 10.0), min_length=1, max_length=64,
        description="Factors on the initial weights, separated by commas.",
    )  # fmt: skip
    notebook: Annotated[Switch, Flag()] = Field(
        False, description="Train the notebook's 10-64-32-1 network on random points instead."
    )
    max_params: Whole = Field(PARAMETER_BUDGET, ge=1, le=10_000_000)
