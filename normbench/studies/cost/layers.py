"""The norm layers of a network as they stand in training: their modules, and the inputs that they get."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normbench.device import autocast
from normbench.networks import norm_layers
from normbench.norms.layers import apply_norm, autocast_enabled
from normbench.studies.cost.memory import saved_bytes


@dataclass(frozen=True)
class Placed:
    """A norm layer with an input of a training step, in its shape, memory format and type, and a gradient to match."""

    module: nn.Module
    x: Tensor
    gradient: Tensor


class NormLayers:
    """All norm layers of one network, to be run apart from it; norms are the modules called `norm`."""

    def __init__(self, network: nn.Module, images: Tensor, precision: str) -> None:
        self.device, self.precision = images.device, precision
        with self._autocast():
            self.placed = _placed(network, images)

    def forward(self) -> list[Tensor]:
        """As in training: the graph for the backward pass is kept."""
        with self._autocast():
            return [apply_norm(placed.module, placed.x) for placed in self.placed]

    def backward(self, outputs: Sequence[Tensor]) -> None:
        """The gradients of what `forward` gave, by input and parameters; an identity has none to take."""
        for placed, y in zip(self.placed, outputs, strict=True):
            if y is placed.x:
                continue
            torch.autograd.grad(y, [placed.x, *placed.module.parameters()], placed.gradient.to(y.dtype))

    def passes(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """`forward` and `backward` as two works that hand the outputs from one to the other."""
        outputs: list[Tensor] = []

        def backward() -> None:
            self.backward(outputs)
            outputs.clear()

        return lambda: outputs.extend(self.forward()), backward

    @torch.no_grad()
    def evaluate(self) -> None:
        """Forward in eval mode; the layers are in train mode again afterwards."""
        self._mode(training=False)
        self.forward()
        self._mode(training=True)

    @torch.no_grad()
    def train_eval_difference(self) -> float:
        """Largest difference between the outputs of both modes on one input, by the largest output; worst layer."""
        trained = self.forward()
        self._mode(training=False)
        evaluated = self.forward()
        self._mode(training=True)
        return max(((a - b).abs().max() / a.abs().max()).item() for a, b in zip(trained, evaluated, strict=True))

    def keep_layout(self) -> bool:
        """Whether every output lies in memory as its input does; if not, what follows runs in another format."""
        return all(y.stride() == placed.x.stride() for placed, y in zip(self.placed, self.forward(), strict=True))

    def saved_bytes(self) -> int:
        """Bytes that the layers keep for the backward pass."""
        with self._autocast():
            return sum(
                saved_bytes(lambda p=placed: apply_norm(p.module, p.x), placed.module)  # type: ignore[misc]
                for placed in self.placed
            )

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the inputs, (N, C, H, W) each, in order of execution."""
        return [tuple(placed.x.shape) for placed in self.placed]

    def parameters(self) -> int:
        """Learned numbers of all layers."""
        return sum(parameter.numel() for placed in self.placed for parameter in placed.module.parameters())

    def buffers(self) -> int:
        """Numbers that the layers keep without learning them."""
        return sum(buffer.numel() for placed in self.placed for buffer in placed.module.buffers())

    def _mode(self, training: bool) -> None:
        for placed in self.placed:
            placed.module.train(training)

    def _autocast(self) -> Any:
        return autocast(self.device, self.precision)


def _placed(network: nn.Module, images: Tensor) -> list[Placed]:
    """Run one batch and note what every norm is given."""
    found: list[Placed] = []
    casts = autocast_enabled(images)

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach().clone()  # keeps the memory format
        if casts:  # the norm is given float32, its layer the type that it was cast from
            x = x.to(torch.get_autocast_dtype(x.device.type))
        found.append(Placed(module, x.requires_grad_(), torch.randn_like(x)))

    hooks = [module.register_forward_pre_hook(note) for module in norm_layers(network).values()]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return found
