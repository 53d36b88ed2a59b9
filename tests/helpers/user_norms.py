"""Norms of the kinds that users bring to `verify`, right ones and wrong ones, and definitions in NumPy."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# Right ones.


def group_norm_1(channels):
    """`layer` is its definition."""
    return nn.GroupNorm(1, channels)


def group_norm_4(channels):
    """It cannot be built for every number of channels; `group` is its definition."""
    return nn.GroupNorm(4, channels)


def batch_norm(channels):
    """`batch` is its definition."""
    return nn.BatchNorm2d(channels)


def cumulative_batch_norm(channels):
    """Running statistics are averages over all steps so far; `cumulative` is its definition."""
    return nn.BatchNorm2d(channels, momentum=None)


def instance_norm(channels):
    """`instance` is its definition."""
    return nn.InstanceNorm2d(channels, affine=True)


class Wrapped(nn.Module):
    """A group norm inside of another module, under two names; `wrapped` is its definition."""

    def __init__(self, channels):
        super().__init__()
        self.gn = nn.GroupNorm(1, channels)
        self.scale = self.gn.weight

    def forward(self, x):
        return 0.5 * self.gn(x) + x


class Unsaved(nn.Module):
    """Buffers outside of the state dict, and a tensor kept with its graph; `unsaved` is its definition."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1), persistent=False)

    def forward(self, x):
        if not self.training:
            return x - self.mean
        self.latest = x.mean((0, 2, 3)).view(-1, 1, 1)
        self.mean.lerp_(self.latest.detach(), 0.1)
        return x - self.latest


# Wrong ones.


class NeverMoves(nn.BatchNorm2d):
    """Its running statistics stay as they began."""

    def forward(self, x):
        if self.training:
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.1, self.eps)
        return super().forward(x)


def momentum_02(channels):
    """Its running statistics move by 0.2."""
    return nn.BatchNorm2d(channels, momentum=0.2)


class Counting(nn.Module):
    """A Python counter moves its output, as the warm-up of Batch Renormalization does."""

    def __init__(self, channels):
        super().__init__()
        self.norm, self.steps = nn.GroupNorm(1, channels), 0
        self.weight, self.bias = self.norm.weight, self.norm.bias

    def forward(self, x):
        self.steps += self.training
        return self.norm(x) if self.steps < 12 else x


class Affine(nn.Module):
    """Scale and shift of `layer`, and statistics over some axes."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def norm(self, x, axes=(1, 2, 3)):
        var, mean = torch.var_mean(x, axes, keepdim=True, correction=0)
        return (x - mean) * torch.rsqrt(var + 1e-5) * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class WrongFrom16Channels(Affine):
    def forward(self, x):
        return self.norm(x) if x.shape[1] < 16 else self.norm(x, (2, 3))


class WrongFrom5Images(Affine):
    def forward(self, x):
        return self.norm(x) if len(x) < 5 else self.norm(x, (0, 2, 3))


class WrongFrom64Images(Affine):
    def forward(self, x):
        return self.norm(x) if len(x) < 64 else self.norm(x, (0, 2, 3))


class WrongFrom7Rows(Affine):
    def forward(self, x):
        return self.norm(x) if x.shape[2] < 7 else self.norm(x, (1,))


class GradientOnlyInFloat32(Affine):
    """In float32 its gradient does not go through the statistics."""

    def forward(self, x):
        var, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=0)
        if x.dtype == torch.float32:
            mean, var = mean.detach(), var.detach()
        return (x - mean) * torch.rsqrt(var + 1e-5) * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class WeightWithoutGradientInFloat32(Affine):
    def forward(self, x):
        weight = self.weight.detach() if x.dtype == torch.float32 else self.weight
        var, mean = torch.var_mean(x, (1, 2, 3), keepdim=True, correction=0)
        return (x - mean) * torch.rsqrt(var + 1e-5) * weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class BeginsAtHalf(Affine):
    """Right, but for the value that its scale begins with."""

    def __init__(self, channels):
        super().__init__(channels)
        nn.init.constant_(self.weight, 0.5)

    def forward(self, x):
        return self.norm(x)


class FailsLater(nn.Module):
    """Raises in its seventh training step."""

    def __init__(self, channels):
        super().__init__()
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        if self.steps > 6:
            raise RuntimeError("boom")
        return x


# Definitions.


def column(vector):
    return np.reshape(vector, (-1, 1, 1))


def standardized(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def layer(x, parameters, training):
    return standardized(x, (1, 2, 3)) * column(parameters["weight"]) + column(parameters["bias"])


layer.initial = {"weight": 1, "bias": 0}


def silent_layer(x, parameters, training):
    """Without initial values."""
    return layer(x, parameters, training)


def instance(x, parameters, training):
    return standardized(x, (2, 3)) * column(parameters["weight"]) + column(parameters["bias"])


instance.initial = layer.initial


def group(x, parameters, training):
    y = standardized(x.reshape(len(x), 4, -1), (2,)).reshape(x.shape)
    return y * column(parameters["weight"]) + column(parameters["bias"])


group.initial = layer.initial


def silent_batch(x, parameters, training):
    """Without running statistics."""
    mean = x.mean((0, 2, 3)) if training else parameters["running_mean"]
    var = x.var((0, 2, 3)) if training else parameters["running_var"]
    y = (x - column(mean)) / np.sqrt(column(var) + 1e-5)
    return y * column(parameters["weight"]) + column(parameters["bias"])


def batch(x, parameters, training, share=0.1):
    y = silent_batch(x, parameters, training)
    if not training:
        return y
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)
    return y, {
        "running_mean": (1 - share) * parameters["running_mean"] + share * mean,
        "running_var": (1 - share) * parameters["running_var"] + share * var,
    }


batch.initial = {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}


def cumulative(x, parameters, training):
    return batch(x, parameters, training, share=1 / (parameters["num_batches_tracked"] + 1))


def wrapped(x, parameters, training):
    scaled = standardized(x, (1, 2, 3)) * column(parameters["scale"]) + column(parameters["gn.bias"])
    return 0.5 * scaled + x


def unsaved(x, parameters, training):
    if not training:
        return x - parameters["mean"]
    mean = x.mean((0, 2, 3), keepdims=True)[0]
    return x - mean, {"mean": 0.9 * parameters["mean"] + 0.1 * mean}


def same(x, parameters, training):
    return x


def returns_more(x, parameters, training):
    return layer(x, parameters, training), {"speed": np.zeros(3)}


def returns_other_shape(x, parameters, training):
    return layer(x, parameters, training), {"weight": np.zeros((1, 2))}


def returns_list(x, parameters, training):
    return layer(x, parameters, training), [0]
