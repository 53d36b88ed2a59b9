"""Stacks of equal layers, of any depth. They show the effect of a norm on signal and gradient by depth.

An `mlp` maps vectors (N, C) with linear layers, a `conv` maps (N, C, H, W) with 3x3 convolutions. Layers have no
shortcut and no bias but that of their norm; `none` and `lrn` have no bias, so there the weights have one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from normbench import randomness
from normbench.config.settings import Activation, Init
from normbench.networks.blocks import ACTIVATIONS, activation_after, conv3x3, ensure_bias
from normbench.networks.build import IMAGE_SHAPE, initialise
from normbench.norms import Norm
from normbench.norms.layers import apply_norm

Kind = Literal["mlp", "conv"]
Position = Literal["pre", "post"]


@dataclass(frozen=True)
class StackConfig:
    """Settings of a stack besides its norm."""

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
    """Height and width of the feature maps of a `conv`."""


class VectorNorm(nn.Module):
    """Adapter of a norm for (N, C, H, W) to vectors (N, C), as maps of a single position."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C)."""
        y: Tensor = self.norm(x[:, :, None, None])
        return y.flatten(1)


class StackLayer(nn.Module):
    """Layer of weights, norm and activation that keeps the shape; the norm is before or after the weights."""

    def __init__(
        self,
        weights: nn.Module,
        norm: nn.Module,
        config: StackConfig,
        *,
        adds_bias: bool,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.weights, self.norm = weights, norm
        self.act = activation or ACTIVATIONS[config.activation]()
        self.position, self.adds_bias = config.position, adds_bias
        if not adds_bias:
            ensure_bias(weights)

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm; where it has no shift, the bias of the weights instead."""
        yield from self.norm.parameters()
        if not self.adds_bias:
            yield ensure_bias(self.weights)

    def before_activation(self, x: Tensor) -> Tensor:
        """Compute the input of the activation."""
        if self.position == "pre":
            y: Tensor = self.weights(apply_norm(self.norm, x))
            return y
        return apply_norm(self.norm, self.weights(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) or (N, C, H, W) to the same shape."""
        y: Tensor = self.act(self.before_activation(x))
        return y


class Stack(nn.Module):
    """Patches of images (N, 3, 32, 32), `depth` hidden layers, the mean over positions, and a classifier."""

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
        """Return the logits (N, classes)."""
        x = self.stem(images)
        for layer in self.layers:
            x = layer(x)
        return self.classify(x)

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) from the output of the last hidden layer."""
        logits: Tensor = self.head(x.flatten(2).mean(2) if x.dim() > 2 else x)
        return logits


def weights(config: StackConfig, norm: Norm) -> nn.Module:
    """Build the weights of one layer, from `width` to `width`, without a bias."""
    if config.kind == "mlp":
        return nn.Linear(config.width, config.width, bias=False)
    return conv3x3(config.width, config.width, norm)


def _layer(config: StackConfig, norm: Norm) -> StackLayer:
    layer_weights = weights(config, norm)
    with torch.random.fork_rng(devices=[]):  # random draws of a norm must not shift those of the weights
        layer_norm = norm.make(config.width, activated=config.position == "post")
    if config.kind == "mlp":
        layer_norm = VectorNorm(layer_norm)
    activation = activation_after(norm, config.activation) if config.position == "post" else None
    return StackLayer(layer_weights, layer_norm, config, adds_bias=norm.info.adds_bias, activation=activation)


def build_stack(config: StackConfig, norm: Norm, classes: int = 10, seed: int = 0) -> Stack:
    """Build a stack from the `init` stream of the seed: layer by layer the same weights for every norm and depth.

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
