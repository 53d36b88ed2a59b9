"""The building blocks: convolution, norm, dropout and activation, in this order."""

from collections.abc import Callable

import torch
from torch import nn

from normbench.config import NetworkConfig
from normbench.norms import Norm

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}


class Block(nn.Sequential):
    """`conv`, `norm`, `drop` (only where there is dropout) and `act`, on (N, C, H, W)."""

    def __init__(self, conv: nn.Module, channels: int, norm: Norm, config: NetworkConfig) -> None:
        super().__init__()
        self.add_module("conv", conv)
        with torch.random.fork_rng(devices=[]):  # a norm that draws numbers leaves the convolutions' draws alone
            self.add_module("norm", norm.make(channels))
        if config.dropout:
            self.add_module("drop", nn.Dropout(config.dropout))
        self.add_module("act", ACTIVATIONS[config.activation]())


def conv3x3(inputs: int, outputs: int, norm: Norm, *, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """A 3x3 convolution; without a bias, since the norm that follows subtracts it or brings its own."""
    return norm.conv(inputs, outputs, 3, padding=1, dilation=dilation, bias=bias)


def conv1x1(inputs: int, outputs: int, norm: Norm) -> nn.Conv2d:
    """A 1x1 convolution, without a bias."""
    return norm.conv(inputs, outputs, 1, bias=False)


def squeeze(inputs: int, middle: int, outputs: int, groups: int, norm: Norm) -> nn.Sequential:
    """A 3x3 convolution `inputs` -> `middle` in groups, then 1x1 to `outputs` channels."""
    spatial = norm.conv(inputs, middle, 3, padding=1, groups=groups, bias=False)
    return nn.Sequential(spatial, conv1x1(middle, outputs, norm))


def depthwise_separable(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    """Two 3x3 filters per input channel, then 1x1 across channels."""
    return squeeze(inputs, 2 * inputs, outputs, inputs, norm)
