"""What each norm costs in one training step: forward, backward, and memory kept between them, at the real shapes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.measure import spread
from benchmarks.records import NormCost
from normbench import networks
from normbench.config import RunConfig
from normbench.device import autocast, synchronize
from normbench.networks.blocks import Block
from normbench.norms import resolve_norm

PASSES = 2
"""Passes over all layers of a norm that one timing takes together."""


@dataclass(frozen=True)
class Layers:
    """Every norm layer of the network, with the activations that come to it."""

    norm: str
    modules: tuple[nn.Module, ...]
    inputs: tuple[Tensor, ...]


def norm_costs(config: RunConfig, norms: Sequence[str], device: torch.device, repeats: int) -> list[NormCost]:
    """Time the layers of each norm, norms taking turns in every repeat."""
    layers = [collect(config, norm, device) for norm in norms]
    for one in layers:
        _time(one, config, device)
    forward: dict[str, list[float]] = {norm: [] for norm in norms}
    backward: dict[str, list[float]] = {norm: [] for norm in norms}
    for _ in range(repeats):
        for one in layers:
            times = _time(one, config, device)
            forward[one.norm].append(1000 * times[0])
            backward[one.norm].append(1000 * times[1])
    return [
        NormCost(
            norm=one.norm,
            layers=len(one.modules),
            forward_milliseconds=spread(forward[one.norm]),
            backward_milliseconds=spread(backward[one.norm]),
            saved_bytes=saved_bytes(one, config, device),
        )
        for one in layers
    ]


def collect(config: RunConfig, norm: str, device: torch.device) -> Layers:
    """The norm layers of the network in train mode, and what each gets from one batch of noise."""
    network = networks.build(config.network, resolve_norm(norm, config.groups), seed=config.seed)
    network.to(device, memory_format=torch.channels_last)
    seen: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append((module, inputs[0].detach().clone().requires_grad_()))

    for block in network.modules():
        if isinstance(block, Block):
            block.get_submodule("norm").register_forward_pre_hook(keep)
    shape = (config.training.batch_size, *networks.IMAGE_SHAPE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad(), autocast(device, config.training.precision):
        network(noise.contiguous(memory_format=torch.channels_last))
    for module, _ in seen:
        module._forward_pre_hooks.clear()
    return Layers(norm, tuple(module for module, _ in seen), tuple(activations for _, activations in seen))


def _time(layers: Layers, config: RunConfig, device: torch.device) -> tuple[float, float]:
    """Seconds of a forward and of a backward pass through all layers."""
    forward = backward = 0.0
    for _ in range(PASSES):
        synchronize(device)
        started = time.perf_counter()
        outputs = _forward(layers, config, device)
        synchronize(device)
        between = time.perf_counter()
        gradients = [torch.ones_like(output) for output in outputs]
        synchronize(device)
        made = time.perf_counter()
        for module, activations, output, gradient in zip(
            layers.modules, layers.inputs, outputs, gradients, strict=True
        ):
            torch.autograd.grad(output, [activations, *module.parameters()], gradient)
        synchronize(device)
        forward += between - started
        backward += time.perf_counter() - made
    return forward / PASSES, backward / PASSES


def _forward(layers: Layers, config: RunConfig, device: torch.device) -> list[Tensor]:
    with autocast(device, config.training.precision):
        return [module(activations) for module, activations in zip(layers.modules, layers.inputs, strict=True)]


def saved_bytes(layers: Layers, config: RunConfig, device: torch.device) -> int:
    """Bytes of the tensors that autograd keeps from the forward pass of all layers, parameters left out."""
    parameters = {
        parameter.untyped_storage().data_ptr() for module in layers.modules for parameter in module.parameters()
    }
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _outputs = _forward(layers, config, device)
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in parameters)
