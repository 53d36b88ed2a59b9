"""Stacks of equal layers, as deep as one likes: where a norm's work on signal and gradient is seen by depth.

An `mlp` works on vectors (N, C) with linear layers, a `conv` on maps (N, C, H, W) with 3x3 convolutions. No layer has
a shortcut, nor a bias besides the one that its norm adds; `none` and `lrn` add none, and there the weights have it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from normbench import randomness
from normbench.config.settings import Activation, Init
from normbench.networks.blocks import ACTIVATIONS, conv3x3, give_bias
from normbench.networks.build import IMAGE_SHAPE, initialise
from normbench.norms import Norm, apply_norm

Kind = Literal["mlp", "conv"]
Position = Literal["pre", "post"]


@dataclass(frozen=True)
class StackConfig:
    """What a stack is made of, besides its norm."""

    kind: Kind
    depth: int
    """Hidden layers."""
    width: int
    """Units or channels of every hidden layer."""
    position: Position = "post"
    """`pre`: norm, weights, activation; `post`: weights, norm, activation."""
    activation: Activation = "relu"
    init: Init = "torch"
    side: int = 8
    """Rows and columns of the maps of a `conv`."""


class VectorNorm(nn.Module):
    """A norm for (N, C, H, W) put to work on vectors (N, C): maps of a single position."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C)."""
        y: Tensor = self.norm(x[:, :, None, None])
        return y.flatten(1)


class StackLayer(nn.Module):
    """Weights, norm and activation, the norm before or after the weights; the shape stays."""

    def __init__(self, weights: nn.Module, norm: nn.Module, config: StackConfig, *, adds_bias: bool) -> None:
        super().__init__()
        self.weights, self.norm, self.act = weights, norm, ACTIVATIONS[config.activation]()
        self.position, self.adds_bias = config.position, adds_bias
        if not adds_bias:
            give_bias(weights)

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Scale and shift of the norm; where it has no shift, the bias of the weights in its place."""
        yield from self.norm.parameters()
        if not self.adds_bias:
            yield give_bias(self.weights)

    def before_activation(self, x: Tensor) -> Tensor:
        """What the activation is given."""
        if self.position == "pre":
            y: Tensor = self.weights(apply_norm(self.norm, x))
            return y
        return apply_norm(self.norm, self.weights(x))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) or (N, C, H, W) to the same shape."""
        y: Tensor = self.act(self.before_activation(x))
        return y


class Stack(nn.Module):
    """Images (N, 3, 32, 32) cut into patches, `depth` hidden layers, the mean over positions, and a classifier."""

    def __init__(self, config: StackConfig, norm: Norm, classes: int) -> None:
        super().__init__()
        self.config = config
        channels, side, _ = IMAGE_SHAPE
        self.stem: nn.Module
        if config.kind == "mlp":
            self.stem = nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, config.width, bias=False))
        else:
            patch = side // config.side
            self.stem = nn.Conv2d(channels, config.width, patch, stride=patch, bias=False)
        self.layers = nn.ModuleList([_layer(config, norm) for _ in range(config.depth)])
        self.head = nn.Linear(config.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Class scores (N, classes)."""
        x = self.stem(images)
        for layer in self.layers:
            x = layer(x)
        return self.classify(x)

    def classify(self, x: Tensor) -> Tensor:
        """Class scores (N, classes) of what the last hidden layer gave."""
        scores: Tensor = self.head(x.flatten(2).mean(2) if x.dim() > 2 else x)
        return scores


def weights(config: StackConfig, norm: Norm) -> nn.Module:
    """The weights of one layer, from `width` to `width`, without a bias."""
    if config.kind == "mlp":
        return nn.Linear(config.width, config.width, bias=False)
    return conv3x3(config.width, config.width, norm)


def _layer(config: StackConfig, norm: Norm) -> StackLayer:
    drawn = weights(config, norm)
    with torch.random.fork_rng(devices=[]):  # a norm that draws numbers leaves the weights' draws alone
        made = norm.make(config.width)
    placed = VectorNorm(made) if config.kind == "mlp" else made
    return StackLayer(drawn, placed, config, adds_bias=norm.info.adds_bias)


def build_stack(config: StackConfig, norm: Norm, classes: int = 10, seed: int = 0) -> Stack:
    """The stack, initialised from the seed's own stream: layer by layer the same weights for every norm and depth.

    Raises:
        UsageError: The norm cannot be built for these channels.
    """
    with randomness.GLOBAL, torch.random.fork_rng(devices=[]):
        randomness.seed_global(seed, "init")
        stack = Stack(config, norm, classes)
        initialise(stack, config.init)
        with torch.no_grad():
            stack.eval()(torch.zeros(2, *IMAGE_SHAPE))  # lazy norms learn their shape
    return stack.train()
