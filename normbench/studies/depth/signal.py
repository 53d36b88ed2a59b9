"""Signal and gradient through a stack at initialisation: noise forward, the loss on random labels backward."""

from dataclasses import dataclass
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench import randomness
from normbench.networks.stacks import StackConfig, StackLayer, build_stack, weights
from normbench.norms import Norm

BATCH = 128
SATURATED = 1 - 0.97**2
"""Derivative of the activation below which it is saturated: tanh at |y| > 0.97; ReLU has 0 or 1."""


@dataclass(frozen=True)
class Signal:
    """Figures of a stack at initialisation, one per hidden layer, first to last."""

    output_norms: tuple[float, ...]
    """L2 norm of the logits of an output layer put on the input and after each hidden layer, mean over the batch."""
    gradient_norms: tuple[float, ...]
    """L2 norm of the gradient of the loss by the weights of each hidden layer."""
    dead: tuple[float, ...]
    """Fraction of units (channels) whose activation is saturated for the whole batch."""
    saturated: tuple[float, ...]
    """Fraction of values at which the activation is saturated."""
    cosine_similarity: tuple[float, ...]
    """Cosine between the outputs of the layer for two different inputs, mean over pairs; 1: all have one direction."""


def measure_signal(config: StackConfig, norm: Norm, seed: int, device: torch.device) -> Signal:
    """Send N(0, 1) noise through a fresh stack in train mode, and the gradient of the cross-entropy back.

    The output layer is one more layer of weights, without norm and activation. Applied after every hidden layer, it
    gives the output of a network of that depth.

    Raises:
        UsageError: The norm cannot be built for these channels.
        Exception: The norm cannot run on this shape; its own error.
    """
    stack = build_stack(config, norm, seed=seed).to(device)
    output, x, labels = _output_input_labels(config, norm, seed, device)
    norms, figures = [_mean_length(output(x))], []
    for layer in stack.layers:
        assert isinstance(layer, StackLayer), "stacks have no other layers"
        before = layer.before_activation(x)
        x = layer.act(before)
        norms.append(_mean_length(output(x)))
        figures.append((*_saturation(layer.act, before.detach()), _cosine_similarity(x.detach().flatten(1))))
    dead, saturated, cosine_similarity = zip(*figures, strict=True)
    weights_of_layers = [layer.get_submodule("weights").get_parameter("weight") for layer in stack.layers]
    gradients = torch.autograd.grad(F.cross_entropy(stack.classify(x), labels), weights_of_layers)
    gradient_norms = tuple(gradient.norm().item() for gradient in gradients)
    return Signal(tuple(norms), gradient_norms, dead, saturated, cosine_similarity)


def mean_signal(signals: list[Signal]) -> Signal:
    """Average over seeds, figure by figure."""

    def mean(name: str) -> tuple[float, ...]:
        return tuple(map(fmean, zip(*(getattr(signal, name) for signal in signals), strict=True)))

    return Signal(*map(mean, Signal.__dataclass_fields__))


def _output_input_labels(
    config: StackConfig, norm: Norm, seed: int, device: torch.device
) -> tuple[nn.Module, Tensor, Tensor]:
    """Draw output layer, input and labels of a seed, equal for every norm."""
    with randomness.GLOBAL, torch.random.fork_rng(devices=[]):
        randomness.seed_global(seed, "augment")
        output = weights(config, norm)
        shape = (BATCH, config.width) + ((config.side, config.side) if config.kind == "conv" else ())
        return output.to(device), torch.randn(shape).to(device), torch.randint(10, (BATCH,)).to(device)


@torch.no_grad()
def _mean_length(x: Tensor) -> float:
    return float(x.flatten(1).norm(dim=1).mean())


def _saturation(activation: nn.Module, before: Tensor) -> tuple[float, float]:
    """Fraction of units that are saturated for the whole batch, and fraction of values that are."""
    x = before.requires_grad_()
    (derivative,) = torch.autograd.grad(activation(x).sum(), x)
    saturated = derivative.abs() < SATURATED
    units = saturated.transpose(0, 1).flatten(1).all(dim=1)
    return units.float().mean().item(), saturated.float().mean().item()


def _cosine_similarity(x: Tensor) -> float:
    """Mean cosine over all pairs of different rows; a row of zeros has cosine 0 to any."""
    rows = F.normalize(x.double(), dim=1, eps=1e-300)
    count = len(rows)
    return ((rows.sum(dim=0).square().sum() - rows.square().sum()) / (count * (count - 1))).item()
