"""Replacement of norm layers in any torch model."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from normbench.api.settings import checked
from normbench.config.settings import Groups
from normbench.errors import UsageError
from normbench.norms import Norm

REPLACEABLE: dict[type[nn.Module], Callable[..., int]] = {
    nn.BatchNorm2d: lambda layer: layer.num_features,
    nn.SyncBatchNorm: lambda layer: layer.num_features,
    nn.InstanceNorm2d: lambda layer: layer.num_features,
    nn.GroupNorm: lambda layer: layer.num_channels,
}
"""Norms of torch for maps (N, C, H, W), with the number of channels of a layer."""
OTHERS = (
    nn.BatchNorm1d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm3d, nn.LayerNorm, nn.RMSNorm,
    nn.LocalResponseNorm,
)  # fmt: skip
"""Norms of torch for other inputs, or without a number of channels."""


@dataclass(frozen=True)
class Swapped:
    """Layer that `swap` replaced."""

    name: str
    """Name in `model.named_modules()`."""
    before: str
    """Replaced layer, as torch prints it."""
    after: str
    channels: int
    carried: tuple[str, ...]
    """Parameters and buffers whose values were carried over, since names and shapes agree."""


def swap(model: nn.Module, norm: str, groups: int = 4) -> list[Swapped]:
    """Replace every norm layer of a model by another norm, in place.

    Weights and buffers are carried over where names and shapes agree; a running mean and variance only from one
    BatchNorm to another. Mode, device and dtype of each layer stay. Activations stay, too: a norm that brings its own
    comes without it.

    Args:
        model: Any model of torch; its norms of maps (N, C, H, W) are replaced: BatchNorm2d, SyncBatchNorm,
            InstanceNorm2d and GroupNorm.
        norm: New norm, as for `normbench.norm`.
        groups: Channel groups of GroupNorm.

    Returns:
        Replaced layers, in the order of `model.named_modules()`.

    Raises:
        UsageError: The model has no such layer, or has norms that this cannot replace (of sequences, volumes or
            tokens, or of unknown channels); then nothing was changed.

    Example:
        >>> import normbench, torch
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
        >>> [(layer.name, layer.channels, layer.carried) for layer in normbench.swap(model, "gn", groups=2)]
        [('1', 8, ('weight', 'bias'))]
        >>> type(model[1]).__name__, model[1].num_groups
        ('GroupNorm', 2)
    """
    new = Norm.parse(norm, checked(Groups, groups, "groups"))
    if new.weights:
        raise UsageError(
            f"{norm}: {new.weights} belongs to convolutions, which swap leaves alone",
            f"Name the norm without {new.weights}.",
        )
    kinds = (*REPLACEABLE, *OTHERS)
    modules: list[tuple[str, nn.Module]] = list(model.named_modules())
    layers = [(name, layer) for name, layer in modules if isinstance(layer, kinds)]
    _check_replaceable(model, layers)
    replacements = {id(layer): _carry_over(layer, new.make(_channels(layer), activated=False)) for _, layer in layers}
    swapped = []
    for name, layer in layers:  # a layer that is used twice stays one layer
        replacement, carried = replacements[id(layer)]
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, replacement)
        swapped.append(Swapped(name, repr(layer), repr(replacement), _channels(layer), carried))
    return swapped


def _channels(layer: nn.Module) -> int:
    return next(channels(layer) for kind, channels in REPLACEABLE.items() if isinstance(layer, kind))


def _check_replaceable(model: nn.Module, layers: list[tuple[str, nn.Module]]) -> None:
    if isinstance(model, (*REPLACEABLE, *OTHERS)):
        raise UsageError("the model is itself a norm layer, and cannot be replaced in place", "Use normbench.norm.")
    lazy = [name for name, layer in model.named_modules() if isinstance(layer, LazyModuleMixin)]
    if lazy:
        raise UsageError(f"{', '.join(lazy)}: lazy layers do not know their shape yet", "Run the model once first.")
    if not layers:
        raise UsageError(
            f"{type(model).__name__} has no norm layer of torch",
            "swap replaces BatchNorm2d, SyncBatchNorm, InstanceNorm2d and GroupNorm.",
        )
    unfit = [f"{name} ({type(layer).__name__})" for name, layer in layers if isinstance(layer, OTHERS)]
    if unfit:
        raise UsageError(
            f"cannot be replaced: {', '.join(unfit)}; nothing was changed",
            "The norms here are of maps (N, C, H, W), and made from the number of channels.",
        )


def _carry_over(layer: nn.Module, replacement: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the new layer in the mode, on the device and with the values of the old one, and their names."""
    tensors = layer.state_dict()
    example = next((tensor for tensor in tensors.values() if tensor.is_floating_point()), None)
    if example is not None:
        replacement = replacement.to(device=example.device, dtype=example.dtype)
    replacement.train(layer.training)
    statistics = isinstance(layer, _BatchNorm) and isinstance(replacement, _BatchNorm)
    learned = dict(replacement.named_parameters())
    carried = []
    with torch.no_grad():
        for name, tensor in replacement.state_dict().items():
            if name in tensors and tensors[name].shape == tensor.shape and (name in learned or statistics):
                tensor.copy_(tensors[name])
                carried.append(name)
    return replacement, tuple(carried)
