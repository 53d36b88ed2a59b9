"""Signal and gradient through a stack at initialisation: noise goes in, a loss on random labels comes back."""

from dataclasses import dataclass
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench import randomness
from normbench.networks.stacks import Stack, StackConfig, StackLayer, build_stack, weights
from normbench.norms import Norm

BATCH = 128
FLAT = 1 - 0.97**2
"""A slope below this passes hardly any gradient; that of tanh is at |y| = 0.97. That of ReLU is 0 or 1."""


@dataclass(frozen=True)
class Signal:
    """What a stack of `depth` layers does at initialisation; a number for each hidden layer, first to last."""

    output_norms: tuple[float, ...]
    """L2 norm of an output layer's result, mean over the batch: on the input, and after each hidden layer."""
    gradient_norms: tuple[float, ...]
    """L2 norm of the loss's gradient by the weights of each hidden layer."""
    dead: tuple[float, ...]
    """Share of units (channels) whose activation is flat for the whole batch."""
    saturated: tuple[float, ...]
    """Share of values at which the activation is flat."""
    cosine_similarity: tuple[float, ...]
    """Cosine between the layer's results for two different inputs, mean over pairs; 1: nothing tells them apart."""


def measure_signal(config: StackConfig, norm: Norm, seed: int, device: torch.device) -> Signal:
    """Send N(0, 1) noise through a fresh stack in train mode, and the gradient of the cross-entropy back.

    The output layer is one more layer of weights, without norm and activation. Tried after every hidden layer it
    gives what a network of just that depth would put out.

    Raises:
        UsageError: The norm cannot be built for these channels.
        Exception: Whatever the norm raises that cannot run on this shape.
    """
    stack = build_stack(config, norm, seed=seed).to(device)
    output, x, labels = _surroundings(config, norm, seed, device)
    norms, notes = [_length(output(x))], []
    for layer in stack.layers:
        assert isinstance(layer, StackLayer), "a stack is made of them"
        before = layer.before_activation(x)
        x = layer.act(before)
        norms.append(_length(output(x)))
        notes.append((*_flat(layer.act, before.detach()), _cosine_similarity(x.detach().flatten(1))))
    dead, saturated, cosine_similarity = zip(*notes, strict=True)
    return Signal(
        tuple(norms), _gradients(stack, F.cross_entropy(stack.classify(x), labels)), dead, saturated, cosine_similarity
    )


def mean_signal(signals: list[Signal]) -> Signal:
    """The mean over seeds, figure by figure."""

    def mean(name: str) -> tuple[float, ...]:
        return tuple(map(fmean, zip(*(getattr(signal, name) for signal in signals), strict=True)))

    return Signal(*map(mean, Signal.__dataclass_fields__))


def _surroundings(config: StackConfig, norm: Norm, seed: int, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """Output layer, input and labels of a seed: the same for every norm."""
    with randomness.GLOBAL, torch.random.fork_rng(devices=[]):
        randomness.seed_global(seed, "augment")
        output = weights(config, norm)
        shape = (BATCH, config.width) + ((config.side, config.side) if config.kind == "conv" else ())
        return output.to(device), torch.randn(shape).to(device), torch.randint(10, (BATCH,)).to(device)


def _gradients(stack: Stack, loss: Tensor) -> tuple[float, ...]:
    parameters = [layer.get_submodule("weights").get_parameter("weight") for layer in stack.layers]
    return tuple(gradient.norm().item() for gradient in torch.autograd.grad(loss, parameters))


@torch.no_grad()
def _length(x: Tensor) -> float:
    return float(x.flatten(1).norm(dim=1).mean())


def _flat(activation: nn.Module, before: Tensor) -> tuple[float, float]:
    """Shares of units that are flat for the whole batch, and of values that are."""
    x = before.requires_grad_()
    (slope,) = torch.autograd.grad(activation(x).sum(), x)
    flat = slope.abs() < FLAT
    units = flat.transpose(0, 1).flatten(1).all(dim=1)
    return units.float().mean().item(), flat.float().mean().item()


def _cosine_similarity(x: Tensor) -> float:
    """Mean cosine over all pairs of different rows; rows of zeros are unlike any."""
    rows = F.normalize(x.double(), dim=1, eps=1e-300)
    count = len(rows)
    return ((rows.sum(dim=0).square().sum() - rows.square().sum()) / (count * (count - 1))).item()
