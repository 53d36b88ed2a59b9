"""Switches for the weights before a norm: one frozen record each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normbench.config.norm_names import (
    CENTERED_WEIGHT_NORMALIZATION,
    WEIGHT_NORMALIZATION,
    WEIGHT_STANDARDIZATION,
)

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class WeightSwitch:
    """The record of a switch: shown behind the norm that it is added to."""

    name: str
    title: str
    formula: str
    """Formula of the weight w from the parameter v, for each output channel."""
    when: str
    avoid: str
    paper: str
    convolution: Callable[[], type["nn.Conv2d"]]

    @property
    def sentence(self) -> str:
        """A sentence on the convolutions."""
        return f"Convolutions before it have {self.title} ({self.name})."


def _standardized() -> type["nn.Conv2d"]:
    from normbench.norms.layers import StandardizedConv2d

    return StandardizedConv2d


def _normalized() -> type["nn.Conv2d"]:
    from normbench.norms.layers import WeightNormConv2d

    return WeightNormConv2d


def _centered() -> type["nn.Conv2d"]:
    from normbench.norms.layers import CenteredWeightNormConv2d

    return CenteredWeightNormConv2d


_ENTRIES = (
    WeightSwitch(
        WEIGHT_STANDARDIZATION, "weight standardization",
        "w = (v - mean) / sqrt(var + eps) of each kernel v, in every convolution before it",
        when="With GroupNorm and few images a device, for which it was made.",
        avoid="With a learning rate found without it: the weights have another scale.",
        paper="arXiv:1903.10520", convolution=_standardized,
    ),
    WeightSwitch(
        WEIGHT_NORMALIZATION, "weight normalization",
        "w = g * v / length(v) of each kernel v, in every convolution before it",
        when="Where statistics of the batch are unwanted, as in recurrent and generative models. The paper "
        "sets g and biases from a first batch, which is not done here: g begins as the length of v.",
        avoid="Before a norm that divides by a statistic of each channel: the length g drops out there.",
        paper="arXiv:1602.07868", convolution=_normalized,
    ),
    WeightSwitch(
        CENTERED_WEIGHT_NORMALIZATION, "centered weight normalization",
        "w = g * (v - mean) / length(v - mean) of each kernel v, in every convolution before it",
        when="As +wn, where inputs have a mean: it takes their common mean out.",
        avoid="On kernels of a single weight, as of depthwise 1x1 convolutions: nothing is left of them.",
        paper="Huang et al., ICCV 2017", convolution=_centered,
    ),
)  # fmt: skip

WEIGHTS: dict[str, WeightSwitch] = {entry.name: entry for entry in _ENTRIES}
