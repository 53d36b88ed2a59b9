"""Norms that bring their own activation: FRN with its threshold, and EvoNorm-S0; each also without."""

import numpy as np

from normbench.reference.norms import BATCH, IMAGE, in_groups
from normbench.reference.rounding import exceeds, sigmoid
from normbench.reference.standardize import (
    Array,
    moments,
    over_images,
    root_mean_square,
    scale_and_shift,
    scale_and_shift_backward,
)


def filter_response_norm(x: Array, gamma: Array, beta: Array, tau: Array | None, *, eps: float) -> Array:
    """Divide by the root mean square over (H, W): y = γ x / √(mean(x²) + eps) + β; z = max(y, τ) (arXiv:1911.09737)."""
    y = scale_and_shift(x / root_mean_square(x, IMAGE, eps), gamma, beta)
    return y if tau is None else np.maximum(y, over_images(tau))


def filter_response_norm_backward(
    dz: Array, x: Array, gamma: Array, beta: Array, tau: Array | None, *, eps: float
) -> dict[str, Array]:
    """dL/dz goes to y where y > τ, else to τ; then as through a root mean square."""
    rms = root_mean_square(x, IMAGE, eps)
    x_hat = x / rms
    passed = 1.0 if tau is None else exceeds(scale_and_shift(x_hat, gamma, beta), over_images(tau))
    dx_hat, dgamma, dbeta = scale_and_shift_backward(dz * passed, x_hat, gamma)
    dx = (dx_hat - x_hat * (dx_hat * x_hat).mean(IMAGE, keepdims=True)) / rms
    gradients = {"x": dx, "weight": dgamma, "bias": dbeta}
    return gradients if tau is None else gradients | {"tau": (dz * (1 - passed)).sum(BATCH)}


def evonorm_s0(x: Array, gamma: Array, beta: Array, v: Array | None, *, groups: int, eps: float) -> Array:
    """Divide a Swish by the deviation of a group: y = γ x σ(v x) / √(σ²_g + eps) + β (arXiv:2004.02967).

    Without the sigmoid: y = γ x / √(σ²_g + eps) + β.
    """
    numerator = x if v is None else x * sigmoid(over_images(v) * x)
    return scale_and_shift(numerator / _deviation(x, groups, eps), gamma, beta)


def evonorm_s0_backward(
    dy: Array, x: Array, gamma: Array, v: Array | None, *, groups: int, eps: float
) -> dict[str, Array]:
    """Through the numerator n = x s, s = σ(v x), with n' = s + v x s (1 - s), and through the group's deviation."""
    deviation, gate = _deviation(x, groups, eps), 1.0 if v is None else sigmoid(over_images(v) * x)
    # 1 - s, and not σ(-v x), which has no cancellation: a program has s at hand, and its bound must allow for that.
    numerator, closed = x * gate, 0.0 if v is None else gate * (1.0 - gate)
    dn_hat, dgamma, dbeta = scale_and_shift_backward(dy, numerator / deviation, gamma)
    dn = dn_hat / deviation
    slope = gate if v is None else gate + over_images(v) * x * closed
    inside = in_groups(x, groups)
    mean, _ = moments(inside, (2,))
    through = in_groups(dn * numerator / deviation**2, groups).mean(2, keepdims=True)
    dx = dn * slope - (through * (inside - mean)).reshape(x.shape)
    gradients = {"x": dx, "weight": dgamma, "bias": dbeta}
    return gradients if v is None else gradients | {"v": (dn * x * x * closed).sum(BATCH)}


def _deviation(x: Array, groups: int, eps: float) -> Array:
    """√(σ² + eps) of each group, in the shape of x."""
    inside = in_groups(x, groups)
    _, var = moments(inside, (2,))
    deviation: Array = (np.sqrt(var + eps) * np.ones(inside.shape)).reshape(x.shape)
    return deviation
