"""Bounds of rounding errors, from magnitudes. A result's rounding errors are measured by the magnitudes of its terms.

Every function is a formula of `norms` or `around` with each value replaced by its magnitude and each difference by a
sum, x - μ written out. A result that takes k roundings, each a relative error of at most u, is off by at most k u times
this, to first order in u (Higham 2002, Accuracy and Stability of Numerical Algorithms, chapter 3). Where terms cancel,
as with a large mean and a small variance, it is far above the result itself.
"""

from dataclasses import dataclass

import numpy as np

from normbench.reference.convolution import convolve, convolve_backward
from normbench.reference.norms import (
    BATCH,
    RESPONSE,
    SAMPLE,
    ResponseConstants,
    in_groups,
    local_response_norm,
    neighbours,
)
from normbench.reference.standardize import EPS, Array, Axes, moments, over_images, root_mean_square


@dataclass(frozen=True)
class Standardized:
    """The terms of x̂ = (x - μ) / √(σ² + eps) over some axes."""

    x_hat: Array
    reach: Array
    """(|x| + mean|x|) / √(σ² + eps): the magnitude of x̂."""
    deviation: Array
    axes: Axes
    uncertainty: float | Array
    """The magnitude of the variance's terms as a share of σ² + eps: 1 for mean((x - μ)²); E[x²] - E[x]² cancels."""

    @property
    def magnitude(self) -> Array:
        """Bound of x̂ with a variance that is itself rounded, which enters as its square root."""
        magnitude: Array = self.reach + 0.5 * self.uncertainty * np.abs(self.x_hat)
        return magnitude

    def backward(self, g: Array) -> Array:
        """Bound of dL/dx for g = |dL/dx̂|; σ enters with its third power."""
        mean_g = g.mean(self.axes, keepdims=True)
        terms = g + mean_g + self.reach * (g * self.reach).mean(self.axes, keepdims=True)
        plain = g + mean_g + np.abs(self.x_hat) * (g * np.abs(self.x_hat)).mean(self.axes, keepdims=True)
        magnitude: Array = (terms + 1.5 * self.uncertainty * plain) / self.deviation
        return magnitude


def standardized(x: Array, axes: Axes, one_pass: bool = False, eps: float = EPS) -> Standardized:
    """The terms of standardizing x; `one_pass` if the program takes the variance as E[x²] - E[x]²."""
    mean, var = moments(x, axes)
    mean_abs = np.abs(x).mean(axes, keepdims=True)
    deviation = np.sqrt(var + eps)
    squares = ((x**2).mean(axes, keepdims=True) + mean_abs**2 + eps) / (var + eps)
    return Standardized(
        x_hat=(x - mean) / deviation,
        reach=(np.abs(x) + mean_abs) / deviation,
        deviation=deviation,
        axes=axes,
        uncertainty=squares if one_pass else 1.0,
    )


def scaled(magnitude: Array, gamma: Array, beta: Array) -> Array:
    """Bound of γ x̂ + β."""
    return over_images(np.abs(gamma)) * magnitude + over_images(np.abs(beta))


def parameters(dy: Array, magnitude: Array, gamma: Array) -> dict[str, Array]:
    """Bounds of dL/dγ and dL/dβ."""
    shared = BATCH if gamma.ndim == 1 else (0,)
    return {"weight": (np.abs(dy) * magnitude).sum(shared), "bias": np.abs(dy).sum(shared)}


def grouped(x: Array, groups: int, one_pass: bool, eps: float = EPS) -> tuple[Standardized, Array]:
    """The terms of standardizing each group, and the magnitude of x̂ in the shape of x."""
    terms = standardized(in_groups(x, groups), (2,), one_pass, eps)
    return terms, terms.magnitude.reshape(x.shape)


def root_mean_squared(x: Array, eps: float = EPS) -> Standardized:
    """The terms of x̂ = x / r: as standardizing without a mean."""
    rms = root_mean_square(x, SAMPLE, eps)
    return Standardized(x / rms, np.abs(x) / rms, rms, SAMPLE, uncertainty=1.0)


def reach_of_running(x: Array, mean: Array, var: Array, eps: float = EPS) -> Array:
    """Bound of (x - running mean) / √(running variance + eps)."""
    return (np.abs(x) + np.abs(over_images(mean))) / np.sqrt(over_images(var) + eps)


def running(x: Array, mean: Array, var: Array, momentum: float = 0.1) -> tuple[Array, Array]:
    """Bounds of the running statistics after a batch, given those before or their magnitudes."""
    count = x.size / x.shape[1]
    mean_abs = np.abs(x).mean(BATCH)
    spread = ((np.abs(x) + over_images(mean_abs)) ** 2).sum(BATCH) / (count - 1)
    return (1 - momentum) * np.abs(mean) + momentum * mean_abs, (1 - momentum) * var + momentum * spread


def local_response(x: Array, constants: ResponseConstants = RESPONSE) -> Array:
    """Bound of local response normalization; a relative error of d enters `beta` times, if that is above 1."""
    magnitude: Array = max(1.0, constants.beta) * np.abs(local_response_norm(x, constants))
    return magnitude


def local_response_backward(dy: Array, x: Array, constants: ResponseConstants = RESPONSE) -> Array:
    """Bound of dL/dx of local response normalization."""
    size, alpha, beta, k = constants.size, constants.alpha, constants.beta, constants.k
    d = k + alpha / size * neighbours(x**2, size)
    through_d = neighbours(np.abs(dy * x) / d ** (beta + 1), size, turned=True)
    magnitude: Array = np.abs(dy) / d**beta + 2 * alpha * beta / size * np.abs(x) * through_d
    return max(1.0, beta) * magnitude


def standardized_convolution(x: Array, weight: Array) -> Array:
    """Bound of the convolution with standardized weights."""
    return convolve(np.abs(x), standardized(weight, SAMPLE).magnitude)


def standardized_convolution_backward(dy: Array, x: Array, weight: Array) -> tuple[Array, Array]:
    """Bounds of its gradients with respect to x and the weights."""
    terms = standardized(weight, SAMPLE)
    dx, dw_hat = convolve_backward(np.abs(dy), np.abs(x), terms.magnitude)
    return dx, terms.backward(dw_hat)
