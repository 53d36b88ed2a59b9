"""Norm layers, run apart from their network. They get the inputs that they get in training."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normbench.device import autocast
from normbench.networks import norm_layers
from normbench.norms.layers import apply_norm, autocast_enabled
from normbench.studies.cost.profiling import saved_bytes


@dataclass(frozen=True)
class NormLayer:
    """Norm layer with its input in a training step (shape, memory format and type) and a matching gradient."""

    module: nn.Module
    x: Tensor
    gradient: Tensor


class NormLayers:
    """All norm layers of one network, the modules called `norm`, in order of execution."""

    def __init__(self, network: nn.Module, images: Tensor, precision: str) -> None:
        self.device, self.precision = images.device, precision
        with self._autocast():
            self.layers = _record_inputs(network, images)

    def forward(self) -> list[Tensor]:
        """Run forward as in training: the graph for the backward pass is kept."""
        with self._autocast():
            return [apply_norm(layer.module, layer.x) for layer in self.layers]

    def backward(self, outputs: Sequence[Tensor]) -> None:
        """Compute the gradients of the outputs of `forward` by input and parameters; an identity has none."""
        for layer, y in zip(self.layers, outputs, strict=True):
            if y is layer.x:
                continue
            torch.autograd.grad(y, [layer.x, *layer.module.parameters()], layer.gradient.to(y.dtype))

    def passes(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return `forward` and `backward` without arguments: the first hands its outputs to the second."""
        outputs: list[Tensor] = []

        def backward() -> None:
            self.backward(outputs)
            outputs.clear()

        return lambda: outputs.extend(self.forward()), backward

    @torch.no_grad()
    def evaluate(self) -> None:
        """Run forward in eval mode; the layers are in train mode again afterwards."""
        self._set_mode(training=False)
        self.forward()
        self._set_mode(training=True)

    @torch.no_grad()
    def train_eval_difference(self) -> float:
        """Return the largest difference between outputs in both modes, relative to the largest output; worst layer."""
        in_training = self.forward()
        self._set_mode(training=False)
        in_evaluation = self.forward()
        self._set_mode(training=True)
        pairs = zip(in_training, in_evaluation, strict=True)
        return max(((a - b).abs().max() / a.abs().max()).item() for a, b in pairs)

    def keep_layout(self) -> bool:
        """Check that every output has the memory layout of its input; if not, later layers run in another format."""
        return all(y.stride() == layer.x.stride() for layer, y in zip(self.layers, self.forward(), strict=True))

    def saved_bytes(self) -> int:
        """Count the bytes that the layers keep for the backward pass."""
        with self._autocast():
            return sum(
                saved_bytes(lambda n=layer: apply_norm(n.module, n.x), layer.module)  # type: ignore[misc]
                for layer in self.layers
            )

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes (N, C, H, W) of the inputs, in order of execution."""
        return [tuple(layer.x.shape) for layer in self.layers]

    def parameters(self) -> int:
        """Count the learned numbers of all layers."""
        return sum(parameter.numel() for layer in self.layers for parameter in layer.module.parameters())

    def buffers(self) -> int:
        """Count the numbers that the layers keep without learning them."""
        return sum(buffer.numel() for layer in self.layers for buffer in layer.module.buffers())

    def _set_mode(self, training: bool) -> None:
        for layer in self.layers:
            layer.module.train(training)

    def _autocast(self) -> AbstractContextManager[object]:
        return autocast(self.device, self.precision)


def _record_inputs(network: nn.Module, images: Tensor) -> list[NormLayer]:
    """Run one batch, and record the input of every norm."""
    layers: list[NormLayer] = []
    casts = autocast_enabled(images)

    def record(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach().clone()  # keeps the memory format
        if casts:  # the norm is given float32, its layer the type that it was cast from
            x = x.to(torch.get_autocast_dtype(x.device.type))
        layers.append(NormLayer(module, x.requires_grad_(), torch.randn_like(x)))

    hooks = [module.register_forward_pre_hook(record) for module in norm_layers(network).values()]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return layers
