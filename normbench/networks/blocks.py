"""Building blocks of the networks: convolution, norm, dropout and activation, in this order."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.config.settings import Activation
from normbench.errors import UnfitNormError, UsageError
from normbench.norms import Norm
from normbench.norms.layers import apply_norm

CONTRACT_OF_NORMS = "A norm maps (N, C, H, W) to (N, C, H, W)."
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}


@runtime_checkable
class Normed(Protocol):
    """Part of a network that holds a norm, as its submodule `norm`."""

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm, or the bias that stands in for the shift."""


class NormedSequential(nn.Sequential):
    """Sequence of layers; the one named `norm` computes in float32 under mixed precision, whatever its class."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to (N, C, H, W)."""
        for name, layer in self.named_children():
            x = apply_norm(layer, x) if name == "norm" else layer(x)
        return x


class NormLayer(nn.Module):
    """Norm layer of a custom network: computes in float32 under mixed precision, wherever the network puts it.

    Attributes that it does not have are those of the norm, so `layer.weight` is its scale.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or name == "norm":
                raise
            return getattr(self.norm, name)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        return apply_norm(self.norm, x)

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm."""
        yield from self.norm.parameters()


class ConvNorm(NormedSequential):
    """`conv` and `norm` on (N, C, H, W), without an activation, as before a residual add.

    Args:
        conv: The convolution, or a sequence that ends with it.
        channels: Its outputs.
        norm: The norm after it.
        vectors: Whether the maps are vectors, (N, C, 1, 1).

    Raises:
        UnfitNormError: The norm has no meaning on vectors.
    """

    activated = False
    """True if an activation follows, which the norm may bring itself."""

    def __init__(self, conv: nn.Module, channels: int, norm: Norm, *, vectors: bool = False) -> None:
        super().__init__()
        self.add_module("conv", conv)
        self.adds_bias = norm.info.adds_bias
        if not self.adds_bias:
            ensure_bias(conv)
        self.add_module("norm", make_norm(norm, channels, vectors=vectors, activated=self.activated))

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm; where it has no shift, the bias of the convolution instead."""
        yield from self.get_submodule("norm").parameters()
        if not self.adds_bias:
            yield ensure_bias(self.get_submodule("conv"))


class Block(ConvNorm):
    """`conv`, `norm`, `drop` (only where there is dropout) and `act`, on (N, C, H, W).

    A norm with an activation of its own brings that, and `act` changes nothing.
    """

    activated = True

    def __init__(
        self, conv: nn.Module, channels: int, norm: Norm, config: NetworkConfig, *, vectors: bool = False
    ) -> None:
        super().__init__(conv, channels, norm, vectors=vectors)
        if config.dropout:
            self.add_module("drop", nn.Dropout(config.dropout))
        self.add_module("act", activation_after(norm, config.activation))


def activation_after(norm: Norm, activation: Activation) -> nn.Module:
    """Build the activation after a norm, which changes nothing where the norm brings its own."""
    return nn.Identity() if norm.activates else ACTIVATIONS[activation]()


class PreNorm(NormedSequential):
    """`norm`, then the layers of a pre-norm block, on (N, C, H, W).

    The first of them has a bias with every norm, which is the shift of a norm that has none.

    Args:
        norm: The norm.
        channels: Of the input.
        layers: By name, those after the norm.
        vectors: Whether the maps are vectors, (N, C, 1, 1).

    Raises:
        UnfitNormError: The norm has no meaning on vectors.
    """

    def __init__(self, norm: Norm, channels: int, layers: dict[str, nn.Module], *, vectors: bool = False) -> None:
        super().__init__()
        self.add_module("norm", make_norm(norm, channels, vectors=vectors))
        for name, layer in layers.items():
            self.add_module(name, layer)

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm."""
        yield from self.get_submodule("norm").parameters()


def feed_forward(inputs: int, hidden: int, norm: Norm, config: NetworkConfig) -> dict[str, nn.Module]:
    """Build the layers of a transformer's MLP as 1x1 convolutions: `expand`, `act`, `drop` (if any), `reduce`."""
    expand, reduce = norm.conv(inputs, hidden, 1), norm.conv(hidden, inputs, 1)
    drop: dict[str, nn.Module] = {"drop": nn.Dropout(config.dropout)} if config.dropout else {}
    return {"expand": expand, "act": ACTIVATIONS[config.activation](), **drop, "reduce": reduce}


def make_norm(norm: Norm, channels: int, *, vectors: bool = False, activated: bool = False) -> nn.Module:
    """Build a norm layer; its random draws do not shift those of the weights.

    Args:
        norm: The norm.
        channels: Of its input.
        vectors: True if the input is vectors, (N, C, 1, 1).
        activated: True if `activation_after` follows, so that a norm with an activation of its own brings it.

    Raises:
        UnfitNormError: The norm has no meaning on vectors.
    """
    if vectors:
        check_vectors(norm, channels)
    with torch.random.fork_rng(devices=[]):
        return norm.make(channels, activated=activated)


def check_output(norm: Norm, x: Tensor, output: object) -> None:
    """Check that a norm maps its input to a tensor of the same shape.

    Raises:
        UsageError: It gives something else.
    """
    if not isinstance(output, Tensor):
        raise UsageError(f"norm '{norm.name}' returns {type(output).__name__}, not a tensor", CONTRACT_OF_NORMS)
    before, after = tuple(x.shape), tuple(output.shape)
    if after != before:
        raise UsageError(f"norm '{norm.name}' changes the shape: {before} becomes {after}", CONTRACT_OF_NORMS)


def check_vectors(norm: Norm, channels: int) -> None:
    """Refuse a norm of vectors (N, C, 1, 1) of which a statistic would be that of a single value.

    Raises:
        UnfitNormError: One would.
    """
    if single := norm.info.single_value_statistic(channels):
        statistic, axes = single
        raise UnfitNormError(
            f"{norm.name} has no meaning on vectors of {channels} channels: a {statistic} per image and "
            f"{'channel' if axes.channels == 'one' else 'group'} is that of a single value there",
            "Use a norm over channels or over the batch: --norm ln, gn or bn.",
        )


def norm_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of the norm under study by their names, in the order in which they were built."""
    normed = [name for name, module in network.named_modules() if isinstance(module, Normed)]
    names = [f"{name}.norm" if name else "norm" for name in normed]
    return {name: network.get_submodule(name) for name in names}


def norm_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return scales and shifts of every norm of a network, and the biases that stand in for shifts."""
    normed = [module for module in network.modules() if isinstance(module, Normed)]
    parameters = [parameter for module in normed for parameter in module.norm_parameters()]
    return list({id(parameter): parameter for parameter in parameters}.values())


def ensure_bias(weights: nn.Module) -> nn.Parameter:
    """Return the bias of the last convolution or linear layer of a module, adding one of zeros where it has none.

    The bias is added after the weights are drawn and draws nothing, so every norm starts from the same weights.
    """
    layer = [module for module in weights.modules() if isinstance(module, nn.Conv2d | nn.Linear)][-1]
    if layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros(len(layer.weight)))
    return layer.get_parameter("bias")


class Separable(NormedSequential):
    """Depthwise separable convolution on (N, C, H, W): one 3x3 filter per channel, a norm, and a 1x1 convolution.

    With the norm between them the two convolutions train as two layers (MobileNet, arXiv:1704.04861, section 3.1).
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        self.add_module("depthwise", norm.conv(inputs, inputs, 3, padding=1, groups=inputs, bias=False))
        self.adds_bias = norm.info.adds_bias
        if not self.adds_bias:
            ensure_bias(self.get_submodule("depthwise"))
        self.add_module("norm", make_norm(norm, inputs))
        self.add_module("pointwise", conv1x1(inputs, outputs, norm))

    def norm_parameters(self) -> Iterator[nn.Parameter]:
        """Yield scale and shift of the norm; where it has no shift, the bias of the depthwise convolution instead."""
        yield from self.get_submodule("norm").parameters()
        if not self.adds_bias:
            yield ensure_bias(self.get_submodule("depthwise"))


def conv3x3(inputs: int, outputs: int, norm: Norm, *, dilation: int = 1, bias: bool = False) -> nn.Conv2d:
    """Build a 3x3 convolution, by default without a bias: the norm after it adds one, or else its block."""
    return norm.conv(inputs, outputs, 3, padding=1, dilation=dilation, bias=bias)


def conv1x1(inputs: int, outputs: int, norm: Norm) -> nn.Conv2d:
    """Build a 1x1 convolution without a bias."""
    return norm.conv(inputs, outputs, 1, bias=False)


def squeeze(inputs: int, middle: int, outputs: int, groups: int, norm: Norm) -> nn.Sequential:
    """Build a grouped 3x3 convolution `inputs` -> `middle`, then a 1x1 convolution to `outputs` channels."""
    spatial = norm.conv(inputs, middle, 3, padding=1, groups=groups, bias=False)
    return nn.Sequential(spatial, conv1x1(middle, outputs, norm))


def depthwise_separable(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    """Build two 3x3 filters per input channel, then a 1x1 convolution across channels."""
    return squeeze(inputs, 2 * inputs, outputs, inputs, norm)
