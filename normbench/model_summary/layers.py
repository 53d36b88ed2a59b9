"""Layers of a network: shapes, parameters, MACs and true receptive fields, measured on one blank image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from normbench.networks import IMAGE_SHAPE, count_parameters


@dataclass(frozen=True)
class LayerRow:
    """Row of the layer table, in order of execution; output shape without the batch, MACs per image."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    buffers: int
    macs: int
    receptive_field: int
    """Side, in pixels, of the input square that one output depends on through convolutions and pools."""
    jump: int
    """Distance of two neighbouring outputs in input pixels."""
    is_norm: bool


def receptive_field(before: tuple[int, int], kernel: int, stride: int) -> tuple[int, int]:
    """Compute receptive field and jump after a layer from those before it (Araujo et al., Distill 2019)."""
    field, jump = before
    return field + (kernel - 1) * jump, jump * stride


def layer_rows(network: nn.Module) -> list[LayerRow]:
    """Run one blank image and record every layer in order of execution; a norm counts as one layer.

    The receptive field of a shortcut is within that of the blocks it bridges, so the chain of layers determines it.
    """
    rows: list[LayerRow] = []
    hooks: list[RemovableHandle] = []
    field = (1, 1)

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal field
            field = receptive_field(field, *_kernel_and_stride(module, inputs[0]))
            rows.append(_row(name, module, output, field, macs[name]))

        return hook

    macs = _macs(network)
    for name, module in network.named_modules():
        if name in macs:
            hooks.append(module.register_forward_hook(record(name)))
    _run_blank(network)
    for handle in hooks:
        handle.remove()
    return rows


def _row(name: str, module: nn.Module, output: Tensor, field: tuple[int, int], macs: int) -> LayerRow:
    return LayerRow(
        name=name,
        kind=type(module).__name__,
        output=tuple(output.shape[1:]),
        parameters=count_parameters(module),
        buffers=sum(buffer.numel() for buffer in module.buffers()),
        macs=macs,
        receptive_field=field[0],
        jump=field[1],
        is_norm=name.endswith(".norm"),
    )


def _layers(network: nn.Module) -> list[str]:
    """List the layers: modules without children, and the norm of every block as a whole."""
    norms = [name for name, _ in network.named_modules() if name.endswith(".norm")]
    inside = tuple(f"{name}." for name in norms)
    leaves = [name for name, module in network.named_modules() if not any(module.children())]
    return [name for name in leaves if not name.startswith(inside) and name not in norms] + norms


def _macs(network: nn.Module) -> dict[str, int]:
    """Count the MACs per image of each layer as torch does: in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        _run_blank(network)
    counts = counter.get_flop_counts()
    prefix = type(network).__name__
    return {name: sum(counts.get(f"{prefix}.{name}", {}).values()) // 2 for name in _layers(network)}


def _kernel_and_stride(module: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return kernel extent (dilation included) and stride of a layer; (1, 1) for pointwise layers."""
    if isinstance(module, nn.Conv2d):
        return module.dilation[0] * (module.kernel_size[0] - 1) + 1, module.stride[0]
    if isinstance(module, nn.MaxPool2d):
        return _side(module.kernel_size), _side(module.stride)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return x.shape[-1], x.shape[-1]
    return 1, 1


def _run_blank(network: nn.Module) -> None:
    """Run one blank image in eval mode, which changes neither buffers nor random state."""
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, *IMAGE_SHAPE))
    network.train()


def _side(size: int | tuple[int, int]) -> int:
    return size if isinstance(size, int) else size[0]
