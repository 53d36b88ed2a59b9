"""Norms that torch does not have in this shape, and the weight-standardized convolution.

Every module maps (N, C, H, W) to (N, C, H, W).
"""

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


def apply_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a norm layer; under autocast it computes in float32, and takes and gives the type of its input.

    Left to torch, autocast on CUDA computes batch_norm in bfloat16 and group_norm and layer_norm in float32, which
    they also give to the layers after them: unequal terms in accuracy, memory and speed. Without autocast this is a
    plain call.
    """
    if not autocast_enabled(x) or isinstance(norm, nn.Identity):
        y: Tensor = norm(x)
        return y
    with torch.autocast(x.device.type, enabled=False):
        y = norm(x.float())
    return y.to(x.dtype)


def autocast_enabled(x: Tensor) -> bool:
    """Test if operations on a tensor's device run under autocast; some devices, as `meta`, have none."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
