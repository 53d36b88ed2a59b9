"""Layers around a norm: dropout, and the convolution whose weights are standardized."""

import numpy as np

from normbench.reference.standardize import EPS, Array, Axes, standardize, standardize_backward

KERNEL: Axes = (1, 2, 3)


def dropout(x: Array, mask: Array, probability: float) -> Array:
    """Drop while training: y = x · mask / (1 - p); the mask is 0 where a value is dropped, else 1 (arXiv:1207.0580).

    The division keeps the mean, so that evaluation is y = x.
    """
    return x * mask / (1 - probability)


def dropout_backward(dy: Array, mask: Array, probability: float) -> Array:
    """Back to x: dL/dx = dL/dy · mask / (1 - p)."""
    return dy * mask / (1 - probability)


def standardize_weight(weight: Array, eps: float = EPS) -> Array:
    """Standardize each kernel: ŵ = (w - μ) / √(σ² + eps); weights are (C_out, C_in, kH, kW) (arXiv:1903.10520)."""
    return standardize(weight, KERNEL, eps)


def standardize_weight_backward(dw_hat: Array, weight: Array, eps: float = EPS) -> Array:
    """Back from ŵ to w."""
    return standardize_backward(dw_hat, weight, KERNEL, eps)


def normalize_weight(weight: Array, scale: Array, centered: bool = False) -> Array:
    """Give each kernel its length: w = g v / ‖v‖ (arXiv:1602.07868); centered, with v - mean(v) (ICCV 2017)."""
    direction = _direction(weight, centered)
    return scale.reshape(-1, 1, 1, 1) * direction / _length(direction)


def normalize_weight_backward(dw: Array, weight: Array, scale: Array, centered: bool = False) -> tuple[Array, Array]:
    """Back to v, dL/dv = g (dL/dw - v̂ Σ dL/dw v̂) / ‖v‖ with v̂ = v / ‖v‖, and to g, dL/dg = Σ dL/dw v̂."""
    direction = _direction(weight, centered)
    length = _length(direction)
    unit = direction / length
    along = (dw * unit).sum(KERNEL, keepdims=True)
    dv = scale.reshape(-1, 1, 1, 1) * (dw - unit * along) / length
    return (dv - dv.mean(KERNEL, keepdims=True) if centered else dv), along.reshape(-1)


def _direction(weight: Array, centered: bool) -> Array:
    return weight - weight.mean(KERNEL, keepdims=True) if centered else weight


def _length(direction: Array) -> Array:
    length: Array = np.sqrt((direction**2).sum(KERNEL, keepdims=True))
    return length


def convolve(x: Array, weight: Array) -> Array:
    """Convolve (N, C_in, H, W) to (N, C_out, H, W): y_o(p) = Σ_ik x_i(p + k) w_oi(k); odd kernels, zeros around."""
    y: Array = np.einsum("nihwkl,oikl->nohw", patches(x, weight), weight, optimize=True)
    return y


def convolve_backward(dy: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Back to x, by the turned kernels, and to w: dL/dw_oi(k) = Σ_np dL/dy_o(p) x_i(p + k)."""
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    return convolve(dy, turned), np.einsum("nohw,nihwkl->oikl", dy, patches(x, weight), optimize=True)


def patches(x: Array, weight: Array) -> Array:
    """Windows that a kernel sees at each position: (N, C_in, H, W, kH, kW)."""
    height, width = weight.shape[2:]
    around = ((0, 0), (0, 0), (height // 2, height // 2), (width // 2, width // 2))
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, around), (height, width), axis=(2, 3))
