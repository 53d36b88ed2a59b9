"""What a network is made of: parameters, MACs, output shapes, receptive fields, and the budget."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torchinfo
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from normbench.config import RunConfig
from normbench.errors import UsageError
from normbench.networks import IMAGE_SHAPE, build, count_parameters
from normbench.norms import Norm, resolve_norm

Reach = Literal["never", "training", "always", "unknown"]


@dataclass(frozen=True)
class LayerRow:
    """One layer, in order of execution; output shape without the batch, MACs for one image."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    buffers: int
    macs: int
    receptive_field: int
    """Side of the square of input pixels that one output can see through convolutions and pools."""
    jump: int
    """Input pixels between two neighbouring outputs."""
    is_norm: bool


@dataclass(frozen=True)
class Anatomy:
    """A network with one norm, layer by layer, and its size against the budget."""

    network: str
    norm: str
    rows: tuple[LayerRow, ...]
    parameters: int
    macs: int
    norm_parameters: int
    norm_buffers: int
    global_dependency: Reach
    """When the norm makes an output depend on pixels outside its receptive field."""
    budget: int
    torchinfo: str

    @property
    def over_budget(self) -> int:
        """By how many parameters the budget (fewer than `budget`) is missed; 0 within it."""
        return max(0, self.parameters - (self.budget - 1))


def anatomy(config: RunConfig) -> Anatomy:
    """Build a run's network and look at it; never trains, never refuses, moves no random state."""
    norm = resolve_norm(config.norm, config.groups)
    network = build(config.network, norm)
    rows = _rows(network)
    norms = [row for row in rows if row.is_norm]
    return Anatomy(
        network=config.network.name,
        norm=norm.name,
        rows=tuple(rows),
        parameters=count_parameters(network),
        macs=sum(row.macs for row in rows),
        norm_parameters=sum(row.parameters for row in norms),
        norm_buffers=sum(row.buffers for row in norms),
        global_dependency=_reach(norm),
        budget=config.max_params,
        torchinfo=_torchinfo_table(network),
    )


def budget_error(found: Anatomy) -> UsageError:
    """The refusal of a network over its budget: the count, by how much, why, and how to allow it."""
    why = ""
    if found.norm.startswith("ln-chw"):
        why = (
            f" The norm layers alone have {found.norm_parameters:,}: torch's LayerNorm([C, H, W]) learns a gamma and "
            "a beta for every channel and position. --norm ln (GroupNorm with one group) takes the same mean and "
            "variance with one pair per channel."
        )
    return UsageError(
        f"{found.network} with {found.norm} has {found.parameters:,} parameters, {found.over_budget:,} over the budget "
        f"of fewer than {found.budget:,}",
        f"Allow it with --max-params {found.parameters + 1}; `normbench summary` shows where they are.{why}",
    )


def receptive_field(before: tuple[int, int], kernel: int, stride: int) -> tuple[int, int]:
    """Receptive field and jump after a layer, from those before it (Araujo et al., Distill 2019)."""
    field, jump = before
    return field + (kernel - 1) * jump, jump * stride


def _rows(network: nn.Module) -> list[LayerRow]:
    """Run one blank image and note every layer as it is passed; a norm counts as one layer, whatever is in it.

    A shortcut sees no further than the blocks it bridges, so the order of execution is the chain that matters.
    """
    rows: list[LayerRow] = []
    hooks: list[RemovableHandle] = []
    at = (1, 1)

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal at
            at = receptive_field(at, *_kernel_and_stride(module, inputs[0]))
            rows.append(_row(name, module, output, at, macs[name]))

        return hook

    macs = _macs(network)
    for name, module in network.named_modules():
        if name in macs:
            hooks.append(module.register_forward_hook(note(name)))
    _run_blank(network)
    for handle in hooks:
        handle.remove()
    return rows


def _row(name: str, module: nn.Module, output: Tensor, at: tuple[int, int], macs: int) -> LayerRow:
    return LayerRow(
        name=name,
        kind=type(module).__name__,
        output=tuple(output.shape[1:]),
        parameters=count_parameters(module),
        buffers=sum(buffer.numel() for buffer in module.buffers()),
        macs=macs,
        receptive_field=at[0],
        jump=at[1],
        is_norm=name.endswith(".norm"),
    )


def _layers(network: nn.Module) -> list[str]:
    """Names of the layers: modules without children, and every block's norm as a whole."""
    norms = [name for name, _ in network.named_modules() if name.endswith(".norm")]
    inside = tuple(f"{name}." for name in norms)
    leaves = [name for name, module in network.named_modules() if not any(module.children())]
    return [name for name in leaves if not name.startswith(inside) and name not in norms] + norms


def _macs(network: nn.Module) -> dict[str, int]:
    """Multiply-accumulates of each layer for one image, as torch counts them: convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        _run_blank(network)
    counts = counter.get_flop_counts()
    prefix = type(network).__name__
    return {name: sum(counts.get(f"{prefix}.{name}", {}).values()) // 2 for name in _layers(network)}


def _kernel_and_stride(module: nn.Module, x: Tensor) -> tuple[int, int]:
    """Extent of a layer in input positions, and its stride; (1, 1) for layers that work position by position."""
    if isinstance(module, nn.Conv2d):
        return module.dilation[0] * (module.kernel_size[0] - 1) + 1, module.stride[0]
    if isinstance(module, nn.MaxPool2d):
        return int(module.kernel_size), int(module.stride)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return x.shape[-1], x.shape[-1]
    return 1, 1


def _run_blank(network: nn.Module) -> None:
    """One blank image in eval mode, which moves neither buffers nor random state."""
    network.eval()
    with torch.no_grad():
        network(torch.zeros(1, *IMAGE_SHAPE))
    network.train()


def _reach(norm: Norm) -> Reach:
    if norm.info.axes == "?":
        return "unknown"
    if "H" not in norm.info.axes:
        return "never"
    return "training" if norm.info.train_eval_differ else "always"


def _torchinfo_table(network: nn.Module) -> str:
    """torchinfo's table; `input_data` and eval mode, since other ways of asking draw random numbers or move buffers."""
    columns = ("input_size", "output_size", "num_params", "kernel_size", "mult_adds")
    blank = torch.zeros(1, *IMAGE_SHAPE)
    return str(torchinfo.summary(network, input_data=blank, mode="eval", col_names=columns, depth=3, verbose=0))
