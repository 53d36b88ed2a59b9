"""Modules of the norms that torch lacks. The weight-standardized convolution is here, too.

Every module maps (N, C, H, W) to (N, C, H, W).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import Parameter, UninitializedParameter


class ChannelLayerNorm(nn.Module):
    """LayerNorm over the channels of each position, as ConvNeXt uses it (arXiv:2201.03545).

    y = (x - mean_C) / sqrt(var_C + eps) * gamma_c + beta_c
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over C."""
        channels_last = x.permute(0, 2, 3, 1)
        y = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class RMSNorm(nn.Module):
    """Root mean square norm over all of one sample (arXiv:1910.07467): `ln` without re-centring.

    y = x / sqrt(mean_CHW(x^2) + eps) * gamma_c
    """

    dims: tuple[int, ...] = (1, 2, 3)

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        scale = torch.rsqrt(x.square().mean(dim=self.dims, keepdim=True) + self.eps)
        return x * scale * self.weight.view(-1, 1, 1)


class ChannelRMSNorm(RMSNorm):
    """Root mean square norm over the channels of each position: torch's RMSNorm(C) on the features of a token.

    y = x / sqrt(mean_C(x^2) + eps) * gamma_c
    """

    dims = (1,)


class ScaleNorm(nn.Module):
    """ScaleNorm over the channels of each position, with a single learned length (arXiv:1910.05895).

    y = g * x / max(||x||_C, eps), and g begins as sqrt(C)
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = Parameter(torch.full((1,), channels**0.5))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over C."""
        length = torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=self.eps)
        y: Tensor = self.scale * x / length
        return y


class DynamicTanh(nn.Module):
    """Bound of each value by a tanh of learned steepness, without statistics (arXiv:2503.10622).

    y = tanh(alpha * x) * gamma_c + beta_c
    """

    def __init__(self, channels: int, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = Parameter(torch.full((1,), alpha))
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Bound (N, C, H, W)."""
        return torch.tanh(self.alpha * x) * column(self.weight) + column(self.bias)


class DynamicErf(nn.Module):
    """Bound of each value by an error function of learned steepness and centre (arXiv:2512.10938).

    y = erf(alpha * x + s) * gamma_c + beta_c
    """

    def __init__(self, channels: int, alpha: float = 0.5, shift: float = 0.0) -> None:
        super().__init__()
        self.alpha = Parameter(torch.full((1,), alpha))
        self.shift = Parameter(torch.full((1,), shift))
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Bound (N, C, H, W)."""
        return torch.erf(self.alpha * x + self.shift) * column(self.weight) + column(self.bias)


class FilterResponseNorm(nn.Module):
    """Filter response normalization, and its thresholded linear unit as the activation (arXiv:1911.09737).

    y = x / sqrt(mean_HW(x^2) + eps) * gamma_c + beta_c, then max(y, tau_c)
    """

    def __init__(self, channels: int, eps: float = 1e-6, activation: bool = True) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.tau = Parameter(torch.zeros(channels)) if activation else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over (H, W)."""
        scale = torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + self.eps)
        y = x * scale * column(self.weight) + column(self.bias)
        if self.tau is None:
            return y
        tau = column(self.tau)
        return torch.where(y > tau, y, tau)


class EvoNormS0(nn.Module):
    """EvoNorm-S0: a Swish of learned steepness, divided by the deviation of a group (arXiv:2004.02967).

    y = x * sigmoid(v_c * x) / sqrt(var_gHW + eps) * gamma_c + beta_c

    Without its activation x takes the place of x * sigmoid(v_c * x).
    """

    def __init__(self, channels: int, groups: int, eps: float = 1e-5, activation: bool = True) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.v = Parameter(torch.ones(channels)) if activation else None
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over (C / groups, H, W)."""
        n, channels, height, width = x.shape
        grouped = x.reshape(n, self.groups, channels // self.groups, height, width)
        var = grouped.var(dim=(2, 3, 4), keepdim=True, correction=0)
        scale = torch.rsqrt(var + self.eps).expand_as(grouped).reshape(x.shape)
        numerator = x if self.v is None else x * torch.sigmoid(column(self.v) * x)
        return numerator * scale * column(self.weight) + column(self.bias)


class BatchRenorm(nn.Module):
    """Batch Renormalization: batch statistics, corrected towards the moving ones (arXiv:1702.03275).

    y = (r * (x - mean_NHW) / std_NHW + d) * gamma_c + beta_c while training, with std = sqrt(var + eps),
    r = std_NHW / moving std within [1 / r_max, r_max] and d = (mean_NHW - moving mean) / moving std within
    [-d_max, d_max], both constants to the gradient; in evaluation (x - moving mean) / moving std.

    Args:
        channels: C.
        r_max: Bound of r after its ramp; it is 1 in the first `warmup` steps and grows linearly in `7 * warmup` more.
        d_max: Bound of d after its ramp; it is 0 in the first `warmup` steps and grows linearly in `4 * warmup` more.
        warmup: Steps of plain BatchNorm.
        eps: Added to the variance.
        momentum: Share of the newest batch in the moving averages.
    """

    ramp_of_r, ramp_of_d = 7, 4
    num_batches_tracked: Tensor
    running_mean: Tensor
    running_std: Tensor

    def __init__(
        self,
        channels: int,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: int = 500,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))
        self.r_max, self.d_max, self.warmup = r_max, d_max, warmup
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over (N, H, W), and in training move the averages.

        Raises:
            ValueError: A channel has a single value while training, which is its own mean.
        """
        mean, std = column(self.running_mean), column(self.running_std)
        if not self.training:
            return (x - mean) / std * column(self.weight) + column(self.bias)
        refuse_single_values(x)
        batch_var, batch_mean = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
        batch_std = torch.sqrt(batch_var + self.eps)
        with torch.no_grad():
            r_max, d_max = self._bounds(x.dtype)
            r = torch.minimum(torch.maximum(batch_std / std, 1 / r_max), r_max)
            d = torch.minimum(torch.maximum((batch_mean - mean) / std, -d_max), d_max)
            self.running_mean += self.momentum * (batch_mean.flatten() - self.running_mean)
            self.running_std += self.momentum * (batch_std.flatten() - self.running_std)
            self.num_batches_tracked += 1
        return ((x - batch_mean) / batch_std * r + d) * column(self.weight) + column(self.bias)

    def _bounds(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Bounds of r and d in this step, computed on the device."""
        after = (self.num_batches_tracked - self.warmup).clamp(min=0).to(dtype)
        share_of_r = (after / max(1, self.ramp_of_r * self.warmup)).clamp(max=1.0)
        share_of_d = (after / max(1, self.ramp_of_d * self.warmup)).clamp(max=1.0)
        return 1 + (self.r_max - 1) * share_of_r, self.d_max * share_of_d


class GhostBatchNorm(nn.BatchNorm2d):
    """BatchNorm of each ghost batch, a few neighbouring images of the batch, alone (arXiv:1705.08741).

    The running statistics move after each ghost batch; evaluation is BatchNorm's.
    """

    def __init__(self, channels: int, size: int = 16, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over (`size`, H, W); the last ghost batch has the images that are left over."""
        if not self.training or len(x) <= self.size:
            return super().forward(x)
        return torch.cat([super(GhostBatchNorm, self).forward(ghost) for ghost in x.split(self.size)])


class ExtendedBatchNorm(nn.Module):
    """Extended Batch Normalization: the mean of each channel, one variance of all channels (arXiv:2003.05569).

    y = (x - mean_NHW) / sqrt(var_NCHW + eps) * gamma_c + beta_c, in evaluation with the running statistics. The
    abstract of the paper gives the axes; here the variance is that of all values about their common mean, and the
    running one averages the unbiased variance as that of BatchNorm does.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(1))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W), and in training move the running statistics.

        Raises:
            ValueError: A channel has a single value while training, which is its own mean.
        """
        mean, var = column(self.running_mean), self.running_var
        if self.training:
            refuse_single_values(x)
            var_of_each, mean = torch.var_mean(x, dim=(0, 2, 3), keepdim=True, correction=0)
            var, _ = _pooled(var_of_each, mean, 1)
            with torch.no_grad():
                unbiased = var.flatten() * (x.numel() / (x.numel() - 1))
                self.running_mean += self.momentum * (mean.flatten() - self.running_mean)
                self.running_var += self.momentum * (unbiased - self.running_var)
        return (x - mean) * torch.rsqrt(var + self.eps) * column(self.weight) + column(self.bias)


class SwitchableNorm(nn.Module):
    """Switchable Normalization: learned shares of the statistics of in, ln and bn (arXiv:1806.10779).

    y = (x - mean) / sqrt(var + eps) * gamma_c + beta_c with mean = sum_k w_k mean_k and var = sum_k v_k var_k over
    k = HW, CHW and NHW; w and v are a softmax of three numbers each, or on maps of one pixel, which have no statistics
    over HW, of the last two. All variances are biased, also the running one, with which the statistics over NHW are
    replaced in evaluation; the authors' code (switchablenorms/Switchable-Normalization) divides the variance over HW by
    one less than the number of positions.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.mean_weight = Parameter(torch.ones(3))
        self.var_weight = Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W), and in training move the running statistics."""
        var_in, mean_in = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
        var_ln, mean_ln = _pooled(var_in, mean_in, 1)
        if self.training:
            var_bn, mean_bn = _pooled(var_in, mean_in, 0)
            with torch.no_grad():
                self.running_mean += self.momentum * (mean_bn.flatten() - self.running_mean)
                self.running_var += self.momentum * (var_bn.flatten() - self.running_var)
        else:
            var_bn, mean_bn = column(self.running_var), column(self.running_mean)
        first = 1 if x.shape[2:] == (1, 1) else 0
        w, v = self.mean_weight[first:].softmax(0), self.var_weight[first:].softmax(0)
        mean = w[-2] * mean_ln + w[-1] * mean_bn
        var = v[-2] * var_ln + v[-1] * var_bn
        if not first:
            mean, var = mean + w[0] * mean_in, var + v[0] * var_in
        return (x - mean) * torch.rsqrt(var + self.eps) * column(self.weight) + column(self.bias)


def _pooled(var: Tensor, mean: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Variance and mean of sets of equal size taken together along an axis.

    The variance is the mean of the variances plus the variance of the means.
    """
    between, whole = torch.var_mean(mean, dim=dim, keepdim=True, correction=0)
    return var.mean(dim=dim, keepdim=True) + between, whole


class BatchInstanceNorm(nn.Module):
    """Batch-Instance Normalization: a learned gate for each channel between bn and in (arXiv:1805.07925).

    y = (rho_c * (x - mean_NHW) / sqrt(var_NHW + eps) + (1 - rho_c) * (x - mean_HW) / sqrt(var_HW + eps)) * gamma_c
    + beta_c, in evaluation with the running statistics over NHW. The gate rho is kept within [0, 1]: a step that has
    led it out is taken back to the edge before the next one.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))
        self.gate = Parameter(torch.ones(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W), and in training move the running statistics.

        Raises:
            ValueError: A map has a single value, or while training a channel, which is its own mean.
        """
        if self.training:
            # Through `data`, for a layer that is used twice in a step: the second time changes nothing, and a change of
            # the parameter would be an error of autograd.
            self.gate.data.clamp_(0.0, 1.0)
        edge = self.gate.detach().clamp(0.0, 1.0)
        rho = column(torch.where(self.gate == edge, self.gate, edge))
        running = (self.running_mean, self.running_var)
        batch = F.batch_norm(x, *running, training=self.training, momentum=self.momentum, eps=self.eps)
        instance = F.instance_norm(x, eps=self.eps)
        return (rho * batch + (1 - rho) * instance) * column(self.weight) + column(self.bias)


class PositionLayerNorm(nn.LayerNorm):
    """torch's LayerNorm over (C, H, W): one gamma and one beta for every channel *and position*."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) over (C, H, W).

        The input is made contiguous first, which is the order the affine parameters are stored in.
        """
        return super().forward(x.contiguous())


class LazyPositionLayerNorm(LazyModuleMixin, PositionLayerNorm):
    """A `PositionLayerNorm` that learns H and W from the first input, so that `make(channels)` is enough."""

    cls_to_become = PositionLayerNorm

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__((channels, 1, 1), eps=eps)
        self.weight: UninitializedParameter = UninitializedParameter()  # type: ignore[assignment]
        self.bias: UninitializedParameter = UninitializedParameter()  # type: ignore[assignment]

    def initialize_parameters(self, x: Tensor) -> None:
        """Give gamma and beta the shape of one sample, (C, H, W)."""
        self.normalized_shape = tuple(x.shape[1:])
        self.weight.materialize(self.normalized_shape)
        self.bias.materialize(self.normalized_shape)
        nn.LayerNorm.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Do nothing until H and W are known."""


class StandardizedConv2d(nn.Conv2d):
    """Convolution whose kernels have mean 0 and variance 1 per output channel (arXiv:1903.10520)."""

    eps = 1e-5

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) with the standardized weight."""
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) * torch.rsqrt(var + self.eps)
        y: Tensor = self._conv_forward(x, weight, self.bias)
        return y


class WeightNormConv2d(nn.Conv2d):
    """Convolution whose kernels have a learned length each (arXiv:1602.07868): w = g v / ||v||.

    g begins as the length of v, so that the network begins as without weight normalization.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.scale = Parameter(torch.ones(self.out_channels))
        self.reset_scale()

    def reset_scale(self) -> None:
        """Take the lengths of the kernels as they are, after these were drawn."""
        with torch.no_grad():
            self.scale.copy_(torch.linalg.vector_norm(self.direction(), dim=(1, 2, 3)))

    def direction(self) -> Tensor:
        """Return the kernels (C_out, C_in, kH, kW) whose length is replaced."""
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) with kernels of the learned lengths."""
        direction = self.direction()
        length = torch.linalg.vector_norm(direction, dim=(1, 2, 3), keepdim=True)
        y: Tensor = self._conv_forward(x, direction * (self.scale.view(-1, 1, 1, 1) / length), self.bias)
        return y


class CenteredWeightNormConv2d(WeightNormConv2d):
    """Weight normalization of kernels without their mean (Huang et al., ICCV 2017): w = g (v - mean) / ||v - mean||."""

    def direction(self) -> Tensor:
        """Return the kernels without their means."""
        return self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)


def refuse_single_values(x: Tensor) -> None:
    """Raise as torch's BatchNorm does while training.

    Raises:
        ValueError: A channel of (N, C, H, W) has a single value, which is its own mean.
    """
    if x.numel() == x.shape[1]:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}")


def column(parameter: Tensor) -> Tensor:
    """A parameter of each channel in a shape that broadcasts over (N, C, H, W)."""
    return parameter.view(-1, 1, 1)


def apply_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a norm layer; under autocast it computes in float32, and takes and gives the type of its input.

    Left to torch, autocast on CUDA computes batch_norm in bfloat16 and group_norm and layer_norm in float32, which
    they also give to the layers after them: unequal terms in accuracy, memory and speed. Without autocast this is a
    plain call.

    A CPU kernel that casts by itself, value by value, is left to do so: the numbers are the same, without two more
    copies of the maps in each direction.
    """
    if not autocast_enabled(x) or isinstance(norm, nn.Identity):
        y: Tensor = norm(x)
        return y
    with torch.autocast(x.device.type, enabled=False):
        y = norm(x if casts_inside(norm, x) else x.float())
    return y.to(x.dtype)


def casts_inside(norm: nn.Module, x: Tensor) -> bool:
    """Test if a norm has a fast kernel on the CPU that takes and gives bfloat16 and computes in float32.

    These are BatchNorm and GroupNorm of a single group in channels_last; with more groups, and for LayerNorm, torch's
    kernels that do so are slower than the casts.
    """
    if x.device.type != "cpu" or x.dim() != 4 or not x.is_contiguous(memory_format=torch.channels_last):
        return False
    return type(norm) is nn.BatchNorm2d or (type(norm) is nn.GroupNorm and norm.num_groups == 1)


def autocast_enabled(x: Tensor) -> bool:
    """Test if operations on a tensor's device run under autocast; some devices, as `meta`, have none."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
