"""Custom norms that a state dict does not hold as a whole, or that no seed reaches."""

import functools
import random

import numpy as np
import torch
from torch import nn


class NonPersistent(nn.Module):
    """Running statistics in buffers that are not saved."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.register_buffer("mean", torch.zeros(channels, 1, 1), persistent=False)

    def forward(self, x):
        if not self.training:
            return (x - self.mean) * self.weight
        mean = x.mean((0, 2, 3)).view(-1, 1, 1)
        self.mean.lerp_(mean.detach(), 0.1)
        return (x - mean) * self.weight


class PlainTensor(nn.Module):
    """The same in a tensor that is no buffer."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(2, channels)
        self.scale = torch.ones(())

    def forward(self, x):
        if self.training:
            self.scale = self.scale * 1.1
        return self.gn(x) * self.scale


class Counting(nn.Module):
    """A Python counter that moves the output, as the warm-up of Batch Renormalization does."""

    def __init__(self, channels):
        super().__init__()
        self.bn, self.steps = nn.BatchNorm2d(channels), 0

    def forward(self, x):
        self.steps += self.training
        share = min(1.0, self.steps / 8)
        return share * self.bn(x) + (1 - share) * x


class CountingInTraining(nn.Module):
    """A counter that moves the output in train mode alone."""

    def __init__(self, channels):
        super().__init__()
        self.gn, self.steps = nn.GroupNorm(2, channels), 0

    def forward(self, x):
        self.steps += self.training
        return self.gn(x) * (1 + self.steps / 8) if self.training else self.gn(x)


class Watching(nn.Module):
    """A counter that moves nothing."""

    def __init__(self, channels):
        super().__init__()
        self.gn, self.steps = nn.GroupNorm(2, channels), 0

    def forward(self, x):
        self.steps += self.training
        return self.gn(x)


class ExtraState(nn.Module):
    """A state dict that holds more than tensors."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(2, channels)

    def forward(self, x):
        return self.gn(x)

    def get_extra_state(self):
        return {"steps": 3}

    def set_extra_state(self, state):
        pass


@functools.cache
def shared(channels):
    """One module for all layers and networks of equal width."""
    return nn.GroupNorm(2, channels)


WEIGHT = nn.Parameter(torch.ones(1))


class SharedParameter(nn.Module):
    """One parameter for all layers and networks."""

    def __init__(self, channels):
        super().__init__()
        self.gn, self.gain = nn.GroupNorm(2, channels), WEIGHT

    def forward(self, x):
        return self.gn(x) * self.gain


class Tied(nn.Module):
    """One parameter under two names."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(2, channels)
        self.scale = self.gn.weight

    def forward(self, x):
        return self.gn(x)


KERNEL = torch.full((1,), 2.0)


class Constant(nn.Module):
    """One constant buffer for all layers."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(2, channels)
        self.register_buffer("kernel", KERNEL)

    def forward(self, x):
        return self.gn(x) * self.kernel


class Noisy(nn.Module):
    """Draws from a global generator in each training step."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(2, channels)

    def draw(self):
        return float(np.random.randn())

    def forward(self, x):
        return self.gn(x) * (1 + 0.1 * self.draw()) if self.training else self.gn(x)


class NoisyInPython(Noisy):
    def draw(self):
        return random.gauss(0, 1)


class Unseeded(Noisy):
    """Draws from a generator of its own."""

    def draw(self):
        return float(np.random.default_rng().standard_normal())


class NoisyInEval(Noisy):
    """Draws in eval mode."""

    def forward(self, x):
        return self.gn(x) * (1 + 0.1 * self.draw())


class ActNorm(nn.Module):
    """Initialised by its first batch (Glow, arXiv:1807.03039)."""

    def __init__(self, channels):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("initialized", torch.tensor(False))

    def forward(self, x):
        if not self.initialized:
            with torch.no_grad():
                self.loc.copy_(-x.mean((0, 2, 3), keepdim=True))
                self.scale.copy_(1 / (x.std((0, 2, 3), keepdim=True) + 1e-6))
            self.initialized.fill_(True)
        return self.scale * (x + self.loc)


class Late(nn.Module):
    """Makes its parameter from its first input."""

    def __init__(self, channels):
        super().__init__()
        self.weight = None

    def forward(self, x):
        if self.weight is None:
            self.weight = nn.Parameter(torch.ones(x.shape[1:]))
        return x * self.weight


class Exits(nn.Module):
    """Ends the process when it is trained."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        if self.training:
            raise SystemExit(3)
        return x


MEANS: dict[int, float] = {}


class SharedMean(nn.Module):
    """Running mean in a variable of the file: every network of the process moves it."""

    def __init__(self, channels):
        super().__init__()
        self.gn, self.channels = nn.GroupNorm(4, channels), channels

    def forward(self, x):
        if self.training:
            MEANS[self.channels] = 0.9 * MEANS.get(self.channels, 0.0) + 0.1 * float(x.detach().mean() + 1)
        return self.gn(x) - MEANS.get(self.channels, 0.0)


class Complex(nn.Module):
    """A complex buffer, which a state dict holds."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(4, channels)
        self.register_buffer("phase", torch.ones(1, dtype=torch.complex64) * 1j)

    def forward(self, x):
        return self.gn(x) * self.phase.imag


class Expanded(nn.Module):
    """A buffer whose entries share their memory: it cannot be loaded."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(4, channels)
        self.register_buffer("ones", torch.ones(1).expand(channels))

    def forward(self, x):
        return self.gn(x) * self.ones.view(-1, 1, 1)


class Sparse(nn.Module):
    """A sparse buffer, which torch cannot test for infinity."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(4, channels)
        self.register_buffer("links", torch.eye(3).to_sparse())

    def forward(self, x):
        return self.gn(x)


class Fails(nn.Module):
    """Raises in its third training step, after the trial, with a message of several lines."""

    def __init__(self, channels):
        super().__init__()
        self.gn, self.steps = nn.GroupNorm(4, channels), 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 4:
            raise RuntimeError("boom\n" + "and more\n" * 200)
        return self.gn(x)
