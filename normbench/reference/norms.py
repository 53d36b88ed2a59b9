"""Norms as their papers define them. They take float64 arrays (N, C, H, W); γ and β are (C,) unless stated otherwise.

A backward function returns dL/dx, dL/dγ and dL/dβ (as far as there are such) for the dL/dy it is given.
"""

from dataclasses import dataclass

import numpy as np

from normbench.reference.rounding import exceeds
from normbench.reference.standardize import (
    EPS,
    Array,
    Axes,
    over_images,
    root_mean_square,
    scale_and_shift,
    scale_and_shift_backward,
    standardize,
    standardize_backward,
)

BATCH: Axes = (0, 2, 3)
SAMPLE: Axes = (1, 2, 3)
IMAGE: Axes = (2, 3)
POSITION: Axes = (1,)


def normalize(x: Array, gamma: Array, beta: Array, axes: Axes, eps: float = EPS) -> Array:
    """Normalize over the axes: y = γ (x - μ) / √(σ² + eps) + β.

    Over (N, H, W) this is BatchNorm while it trains (arXiv:1502.03167), over (C, H, W) LayerNorm (arXiv:1607.06450; γ
    and β may be (C, H, W)), over (H, W) InstanceNorm (arXiv:1607.08022), over C the LayerNorm of ConvNeXt
    (arXiv:2201.03545).
    """
    return scale_and_shift(standardize(x, axes, eps), gamma, beta)


def normalize_backward(dy: Array, x: Array, gamma: Array, axes: Axes, eps: float = EPS) -> tuple[Array, Array, Array]:
    """Back through the scale and the shift, then through the standardization."""
    dx_hat, dgamma, dbeta = scale_and_shift_backward(dy, standardize(x, axes, eps), gamma)
    return standardize_backward(dx_hat, x, axes, eps), dgamma, dbeta


def batch_norm_eval(x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = EPS) -> Array:
    """An affine map of each channel: y = γ (x - running mean) / √(running variance + eps) + β."""
    return scale_and_shift((x - over_images(mean)) / np.sqrt(over_images(var) + eps), gamma, beta)


def batch_norm_eval_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, var: Array, *, eps: float = EPS
) -> tuple[Array, Array, Array]:
    """dL/dx = γ dL/dy / √(running variance + eps): the running statistics do not depend on x."""
    deviation = np.sqrt(over_images(var) + eps)
    dx_hat, dgamma, dbeta = scale_and_shift_backward(dy, (x - over_images(mean)) / deviation, gamma)
    return dx_hat / deviation, dgamma, dbeta


def running_statistics(x: Array, mean: Array, var: Array, momentum: float = 0.1) -> tuple[Array, Array]:
    """After a batch: r ← (1 - momentum) r + momentum s, with s its mean and its *unbiased* variance, a channel each."""
    return (
        (1 - momentum) * mean + momentum * x.mean(BATCH),
        (1 - momentum) * var + momentum * x.var(BATCH, ddof=1),
    )


def in_groups(x: Array, groups: int) -> Array:
    """(N, C, H, W) as (N, groups, C / groups · H · W): neighbouring channels share a group."""
    return x.reshape(len(x), groups, -1)


def group_norm(x: Array, gamma: Array, beta: Array, groups: int, eps: float = EPS) -> Array:
    """Normalize over (C / groups, H, W): y = γ (x - μ) / √(σ² + eps) + β (arXiv:1803.08494)."""
    return scale_and_shift(standardize(in_groups(x, groups), (2,), eps).reshape(x.shape), gamma, beta)


def group_norm_backward(dy: Array, x: Array, gamma: Array, groups: int, eps: float = EPS) -> tuple[Array, Array, Array]:
    """γ is a channel's and the statistics are a group's: back through the one, then through the other."""
    x_hat = standardize(in_groups(x, groups), (2,), eps).reshape(x.shape)
    dx_hat, dgamma, dbeta = scale_and_shift_backward(dy, x_hat, gamma)
    dx = standardize_backward(in_groups(dx_hat, groups), in_groups(x, groups), (2,), eps)
    return dx.reshape(x.shape), dgamma, dbeta


def rms_norm(x: Array, gamma: Array, eps: float = EPS, axes: Axes = SAMPLE) -> Array:
    """Divide by the root mean square over the axes: y = γ x / r, r = √(mean(x²) + eps) (arXiv:1910.07467)."""
    return over_images(gamma) * x / root_mean_square(x, axes, eps)


def rms_norm_backward(dy: Array, x: Array, gamma: Array, eps: float = EPS, axes: Axes = SAMPLE) -> tuple[Array, Array]:
    """dL/dx = (g - x̂ mean(g x̂)) / r with g = γ dL/dy and x̂ = x / r: as LayerNorm's, without the centring."""
    rms = root_mean_square(x, axes, eps)
    x_hat, g = x / rms, over_images(gamma) * dy
    return (g - x_hat * (g * x_hat).mean(axes, keepdims=True)) / rms, (dy * x_hat).sum(BATCH)


def scale_norm(x: Array, scale: Array, eps: float = EPS) -> Array:
    """Divide by the length of each position's channels: y = g x / max(‖x‖, eps), g one number (arXiv:1910.05895)."""
    return scale * x / np.maximum(_length(x), eps)


def scale_norm_backward(dy: Array, x: Array, scale: Array, eps: float = EPS) -> tuple[Array, Array]:
    """dL/dx = g (dL/dy - x̂ Σ dL/dy x̂) / ‖x‖ with x̂ = x / ‖x‖, the sum over channels; a length below eps is fixed."""
    length = _length(x)
    divisor = np.maximum(length, eps)
    x_hat = x / divisor
    along = exceeds(length, eps) * x_hat * (dy * x_hat).sum(POSITION, keepdims=True)
    return scale * (dy - along) / divisor, (dy * x_hat).sum().reshape(1)


def _length(x: Array) -> Array:
    length: Array = np.sqrt((x**2).sum(POSITION, keepdims=True))
    return length


@dataclass(frozen=True)
class ResponseConstants:
    """Constants of local response normalization, as torch names them; by default torch's.

    Krizhevsky et al. (NeurIPS 2012) do not divide alpha by the size: in these terms theirs are alpha = 5e-4 and k = 2.
    """

    size: int = 5
    """Channels in the window."""
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


RESPONSE = ResponseConstants()


def neighbours(values: Array, size: int, *, turned: bool = False) -> Array:
    """The sum over the `size` channels around each, itself included; beyond the edge there is 0.

    Of an even size one channel more is before it than behind it, as torch has it, and the other way round if `turned`:
    a channel is then summed over those whose sums it is part of.
    """
    before, behind = size // 2, (size - 1) // 2
    padding = (behind, before) if turned else (before, behind)
    padded = np.pad(values, ((0, 0), padding, (0, 0), (0, 0)))
    total: Array = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1).sum(-1)
    return total


def local_response_norm(x: Array, constants: ResponseConstants = RESPONSE) -> Array:
    """Divide by the neighbours: y_c = x_c / d_c^beta, d_c = k + alpha/size Σ x_j² over the channels j around c."""
    return x / (constants.k + constants.alpha / constants.size * neighbours(x**2, constants.size)) ** constants.beta


def local_response_norm_backward(dy: Array, x: Array, constants: ResponseConstants = RESPONSE) -> Array:
    """Back to x: dL/dx_j = dL/dy_j / d_j^beta - 2 alpha beta / size x_j Σ dL/dy_c x_c / d_c^(beta + 1)."""
    size, alpha, beta, k = constants.size, constants.alpha, constants.beta, constants.k
    d = k + alpha / size * neighbours(x**2, size)
    through_d = neighbours(dy * x / d ** (beta + 1), size, turned=True)
    return dy / d**beta - 2 * alpha * beta / size * x * through_d
