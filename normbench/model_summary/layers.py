"""Layers of a network: shapes, parameters, MACs and true receptive fields, measured on one blank image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from normbench.model_summary.receptive_field import Field, ReceptiveFields
from normbench.networks import IMAGE_SHAPE, count_parameters, norm_layers


@dataclass(frozen=True)
class LayerRow:
    """Row of the layer table, in order of execution; output shape without the batch, MACs per image."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    buffers: int
    macs: int
    receptive_field: int | None
    """Side, in pixels, of the input square that one output depends on: of norms, their statistics are left out. None in
    a custom network, whose windows need not be modules."""
    jump: int | float | None
    """Distance of two neighbouring outputs in input pixels, likewise."""
    sees_whole_image: bool | None
    """True if every output depends on the whole image, likewise."""
    is_norm: bool


def layer_rows(network: nn.Module, *, is_custom: bool = False) -> list[LayerRow]:
    """Run one blank image and record every layer in order of execution; a norm counts as one layer.

    A layer that is run several times, as in a recurrent network, has one row, of its last run. Of a custom network
    receptive fields are left out: convolutions and pools that are called as functions are not seen.
    """
    rows: dict[str, LayerRow] = {}
    hooks: list[RemovableHandle] = []
    image = torch.zeros(1, *IMAGE_SHAPE)
    fields = ReceptiveFields(image)

    def row(name: str, module: nn.Module, output: object, field: Field | None) -> LayerRow:
        return LayerRow(
            name=name,
            kind=type(module).__name__,
            output=tuple(output.shape[1:]) if isinstance(output, Tensor) else (),
            parameters=count_parameters(module),
            buffers=sum(buffer.numel() for buffer in module.buffers()),
            macs=macs[name],
            receptive_field=field.size if field else None,
            jump=field.jump if field else None,
            sees_whole_image=field.is_whole if field else None,
            is_norm=name in norms,
        )

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            field = None if is_custom else fields.after(module, inputs, output, is_norm=name in norms)
            if name in macs:
                rows[name] = row(name, module, output, field)

        return hook

    macs, norms = _macs(network), norm_layers(network)
    for name, module in network.named_modules():
        if name in macs or hasattr(module, "sees_whole_image"):
            hooks.append(module.register_forward_hook(record(name)))
    with fields:
        _run(network, image)
    for handle in hooks:
        handle.remove()
    return list(rows.values())


def _layers(network: nn.Module) -> list[str]:
    """List the layers: modules without children, and the norm of every block as a whole."""
    norms = list(norm_layers(network))
    inside = tuple(f"{name}." for name in norms)
    leaves = [name for name, module in network.named_modules() if not any(module.children())]
    return [name for name in leaves if not name.startswith(inside) and name not in norms] + norms


def _macs(network: nn.Module) -> dict[str, int]:
    """Count the MACs per image of each layer as torch does: in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        _run(network, torch.zeros(1, *IMAGE_SHAPE))
    counts = counter.get_flop_counts()
    prefix = type(network).__name__
    return {name: sum(counts.get(f"{prefix}.{name}", {}).values()) // 2 for name in _layers(network)}


def _run(network: nn.Module, image: Tensor) -> None:
    """Run one image in eval mode, which changes neither buffers nor random state."""
    network.eval()
    with torch.no_grad():
        network(image)
    network.train()
