"""Normalization without statistics: bounded functions of each value, with a learned steepness."""

import numpy as np

from normbench.reference.norms import BATCH
from normbench.reference.rounding import erf, erf_slope
from normbench.reference.standardize import Array, over_images, scale_and_shift


def dynamic_tanh(x: Array, alpha: Array, gamma: Array, beta: Array) -> Array:
    """Bound each value: y = γ tanh(α x) + β, α a single number (arXiv:2503.10622)."""
    return scale_and_shift(np.tanh(alpha * x), gamma, beta)


def dynamic_tanh_backward(dy: Array, x: Array, alpha: Array, gamma: Array) -> dict[str, Array]:
    """With t = tanh(α x) and g = γ dL/dy (1 - t²): dL/dx = α g and dL/dα = Σ g x; dL/dγ = Σ dL/dy t."""
    t = np.tanh(alpha * x)
    g = over_images(gamma) * dy * (1 - t**2)
    return {"x": alpha * g, "alpha": (g * x).sum().reshape(1), "weight": (dy * t).sum(BATCH), "bias": dy.sum(BATCH)}


def dynamic_erf(x: Array, alpha: Array, shift: Array, gamma: Array, beta: Array) -> Array:
    """Bound each value: y = γ erf(α x + s) + β, α and s single numbers (arXiv:2512.10938)."""
    return scale_and_shift(erf(alpha * x + shift), gamma, beta)


def dynamic_erf_backward(dy: Array, x: Array, alpha: Array, shift: Array, gamma: Array) -> dict[str, Array]:
    """With z = α x + s and g = γ dL/dy erf'(z): dL/dx = α g, dL/dα = Σ g x and dL/ds = Σ g; dL/dγ = Σ dL/dy erf(z)."""
    z = alpha * x + shift
    g = over_images(gamma) * dy * erf_slope(z)
    return {
        "x": alpha * g,
        "alpha": (g * x).sum().reshape(1),
        "shift": g.sum().reshape(1),
        "weight": (dy * erf(z)).sum(BATCH),
        "bias": dy.sum(BATCH),
    }
