"""Standardization, scale and shift. The part that most norms share, forward and backward.

Backward functions take dL/dy and return dL/dx for a loss L. Where they come from: with x̂ = (x - μ) / σ over m values,
∂x̂_i/∂x_j = (δ_ij - 1/m - x̂_i x̂_j / m) / σ, and dL/dx is the sum over i of dL/dx̂_i times that.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Axes = tuple[int, ...]

EPS = 1e-5


def moments(x: Array, axes: Axes) -> tuple[Array, Array]:
    """Mean and biased variance: μ = mean(x), σ² = mean((x - μ)²); the axes stay, with length 1."""
    mean = x.mean(axes, keepdims=True)
    return mean, ((x - mean) ** 2).mean(axes, keepdims=True)


def standardize(x: Array, axes: Axes, eps: float = EPS) -> Array:
    """To mean 0 and variance 1: x̂ = (x - μ) / √(σ² + eps)."""
    mean, var = moments(x, axes)
    return (x - mean) / np.sqrt(var + eps)


def standardize_backward(dx_hat: Array, x: Array, axes: Axes, eps: float = EPS) -> Array:
    """Back to x: dL/dx = (dL/dx̂ - mean(dL/dx̂) - x̂ mean(dL/dx̂ · x̂)) / √(σ² + eps)."""
    _, var = moments(x, axes)
    x_hat = standardize(x, axes, eps)
    centred = dx_hat - dx_hat.mean(axes, keepdims=True)
    dx: Array = (centred - x_hat * (dx_hat * x_hat).mean(axes, keepdims=True)) / np.sqrt(var + eps)
    return dx


def root_mean_square(x: Array, axes: Axes, eps: float = EPS) -> Array:
    """The root r = √(mean(x²) + eps); the axes stay, with length 1."""
    root: Array = np.sqrt((x**2).mean(axes, keepdims=True) + eps)
    return root


def scale_and_shift(x_hat: Array, gamma: Array, beta: Array) -> Array:
    """To a learned mean and scale: y = γ x̂ + β; γ and β are of shape (C,) or (C, H, W)."""
    return over_images(gamma) * x_hat + over_images(beta)


def scale_and_shift_backward(dy: Array, x_hat: Array, gamma: Array) -> tuple[Array, Array, Array]:
    """Back to x̂, γ and β: dL/dx̂ = γ dL/dy; dL/dγ = Σ dL/dy · x̂ and dL/dβ = Σ dL/dy, over what shares one γ and β."""
    shared = (0, 2, 3) if gamma.ndim == 1 else (0,)
    return over_images(gamma) * dy, (dy * x_hat).sum(shared), dy.sum(shared)


def over_images(parameter: Array) -> Array:
    """A parameter (C,) or (C, H, W) in a shape that broadcasts over (N, C, H, W)."""
    return parameter.reshape(-1, 1, 1) if parameter.ndim == 1 else parameter
