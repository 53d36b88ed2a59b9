"""Norms of several statistics: Extended Batch, Switchable and Batch-Instance Normalization."""

from typing import Any

import numpy as np

from normbench.reference.norms import BATCH, IMAGE, SAMPLE
from normbench.reference.rounding import Rounded, exceeds, joined
from normbench.reference.standardize import (
    Array,
    Axes,
    moments,
    over_images,
    scale_and_shift,
    scale_and_shift_backward,
    standardize,
    standardize_backward,
)

ALL: Axes = (0, 1, 2, 3)
SCOPES: tuple[Axes, ...] = (IMAGE, SAMPLE, BATCH)
"""Axes of the statistics that Switchable Normalization mixes, in the order of its weights."""
Moments = list[tuple[Axes, Array, Array]]
"""Axes, mean and variance of each scope."""


def extended_batch_norm(x: Array, gamma: Array, beta: Array, eps: float) -> Array:
    """Center each channel, and divide by one deviation: y = γ (x - μ_c) / √(σ² + eps) + β (arXiv:2003.05569).

    σ² is the variance of all values of the batch about their common mean.
    """
    return scale_and_shift(_extended(x, eps)[0], gamma, beta)


def extended_batch_norm_backward(dy: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array, Array]:
    """dL/dx = (g - mean_c(g)) / s - mean(g x̂) (x - m) / s², with g = dL/dx̂, s = √(σ² + eps) and m the common mean."""
    x_hat, common, deviation = _extended(x, eps)
    g, dgamma, dbeta = scale_and_shift_backward(dy, x_hat, gamma)
    through = (g * x_hat).mean(ALL, keepdims=True) * (x - common) / deviation**2
    return (g - g.mean(BATCH, keepdims=True)) / deviation - through, dgamma, dbeta


def _extended(x: Array, eps: float) -> tuple[Array, Array, Array]:
    """x̂, the common mean, and √(σ² + eps)."""
    common, var = moments(x, ALL)
    deviation = np.sqrt(var + eps)
    return (x - x.mean(BATCH, keepdims=True)) / deviation, common, deviation


def extended_statistics(x: Array, mean: Array, var: Array, momentum: float) -> tuple[Array, Array]:
    """After a batch: r ← (1 - momentum) r + momentum s, with s the means and the *unbiased* variance of all values."""
    _, var_b = moments(x, ALL)
    unbiased = var_b.reshape(1) * x.size / (x.size - 1)
    return (1 - momentum) * mean + momentum * x.mean(BATCH), (1 - momentum) * var + momentum * unbiased


def scopes(x: Array, running: tuple[Array, Array] | None) -> Moments:
    """Mean and variance of each scope; those of the batch are the running ones where these are given.

    Maps of one pixel have no statistics of their own: they are left out, as the authors' code does on vectors.
    """
    found = [(axes, *moments(x, axes)) for axes in SCOPES if axes != IMAGE or x.shape[2:] != (1, 1)]
    if running is not None:
        mean, var = (over_images(statistic) for statistic in running)
        found[-1] = (BATCH, mean, var)
    return found


def shares(weights: Array, scopes: int) -> Array:
    """Softmax of the weights of the last scopes: e^w / Σ e^w."""
    powers = np.exp(weights[len(SCOPES) - scopes :])
    softmax: Array = powers / powers.sum()
    return softmax


def switchable_norm(x: Array, parameters: tuple[Array, ...], running: tuple[Array, Array] | None, eps: float) -> Array:
    """Mix the statistics of IN, LN and BN: y = γ (x - Σ w_k μ_k) / √(Σ v_k σ²_k + eps) + β (arXiv:1806.10779).

    Args:
        x: Input.
        parameters: γ, β, and the weights that w and v are the softmax of.
        running: Running mean and variance, in evaluation.
        eps: Added to the mixed variance.
    """
    gamma, beta, *weights = parameters
    statistics = scopes(x, running)
    w, v = (shares(of_kind, len(statistics)) for of_kind in weights)
    mean, deviation = _mixed(statistics, w, v, eps)
    return scale_and_shift((x - mean) / deviation, gamma, beta)


def switchable_norm_backward(
    dy: Array, x: Array, parameters: tuple[Array, ...], running: tuple[Array, Array] | None, eps: float
) -> dict[str, Array]:
    """Through the mixture: with g = dL/dx̂ and h = -g x̂ / 2 s², each μ_k has -w_k g / s and each σ²_k has v_k h.

    Each mean and variance passes that on to the values it is taken of; running statistics are constants. The weights
    go through their softmax: dL/dθ_k = w_k (dL/dw_k - Σ w_j dL/dw_j).
    """
    gamma, _beta, *weights = parameters
    statistics = scopes(x, running)
    w, v = (shares(of_kind, len(statistics)) for of_kind in weights)
    mean, deviation = _mixed(statistics, w, v, eps)
    x_hat = (x - mean) / deviation
    g, dgamma, dbeta = scale_and_shift_backward(dy, x_hat, gamma)
    of_mean, of_var = -g / deviation, -g * x_hat / (2 * deviation**2)
    dx = -of_mean
    for k, (axes, mean_k, _) in enumerate(statistics):
        if axes != BATCH or running is None:
            dx = dx + w[k] * of_mean.mean(axes, keepdims=True)
            dx = dx + v[k] * 2 * of_var.mean(axes, keepdims=True) * (x - mean_k)
    return {
        "x": dx,
        "weight": dgamma,
        "bias": dbeta,
        "mean_weight": _through_softmax([(of_mean * mean_k).sum() for _, mean_k, _ in statistics], w),
        "var_weight": _through_softmax([(of_var * var_k).sum() for *_, var_k in statistics], v),
    }


def _mixed(statistics: Moments, w: Array, v: Array, eps: float) -> tuple[Array, Array]:
    """Mixed mean, and the root of the mixed variance plus eps."""
    means = [w[k] * mean for k, (_, mean, _) in enumerate(statistics)]
    variances = [v[k] * var for k, (*_, var) in enumerate(statistics)]
    return sum(means[1:], means[0]), np.sqrt(sum(variances[1:], variances[0]) + eps)


def _through_softmax(gradients: list[Any], weights: Array) -> Array:
    """Back to the weights before the softmax; those of scopes that are left out have no gradient."""
    gradient = joined([value.reshape(1) for value in gradients])
    passed: Any = weights * (gradient - (weights * gradient).sum())
    left_out = len(SCOPES) - len(gradients)
    none: Any = np.zeros(left_out) if isinstance(passed, np.ndarray) else Rounded(np.zeros(left_out))
    array: Array = joined([none, passed]) if left_out else passed
    return array


def switchable_statistics(x: Array, mean: Array, var: Array, momentum: float) -> tuple[Array, Array]:
    """After a batch: r ← (1 - momentum) r + momentum s, with s its mean and its *biased* variance, a channel each."""
    mean_b, var_b = (moment.reshape(-1) for moment in moments(x, BATCH))
    return (1 - momentum) * mean + momentum * mean_b, (1 - momentum) * var + momentum * var_b


def batch_instance_norm(
    x: Array, parameters: tuple[Array, Array, Array], running: tuple[Array, Array] | None, eps: float
) -> Array:
    """Mix BN and IN channel by channel: y = γ (ρ x̂_B + (1 - ρ) x̂_I) + β, ρ within [0, 1] (arXiv:1805.07925).

    Args:
        x: Input.
        parameters: γ, β and the gate ρ.
        running: Running mean and variance, in evaluation.
        eps: Added to the variances.
    """
    gamma, beta, gate = parameters
    rho = _within(gate)
    return scale_and_shift(rho * _of_batch(x, running, eps) + (1 - rho) * standardize(x, IMAGE, eps), gamma, beta)


def batch_instance_norm_backward(
    dy: Array, x: Array, parameters: tuple[Array, Array, Array], running: tuple[Array, Array] | None, eps: float
) -> dict[str, Array]:
    """Through both parts; dL/dρ = Σ dL/dx̂ (x̂_B - x̂_I).

    In training a gate outside of [0, 1] is taken back to the edge before the step, which is then taken from there; in
    evaluation it is clipped, and has no gradient.
    """
    gamma, _beta, gate = parameters
    rho = _within(gate)
    batch, instance = _of_batch(x, running, eps), standardize(x, IMAGE, eps)
    g, dgamma, dbeta = scale_and_shift_backward(dy, rho * batch + (1 - rho) * instance, gamma)
    dx = standardize_backward((1 - rho) * g, x, IMAGE, eps)
    dgate = (g * (batch - instance)).sum(BATCH)
    if running is None:
        dx = dx + standardize_backward(rho * g, x, BATCH, eps)
    else:
        dx = dx + rho * g / np.sqrt(over_images(running[1]) + eps)
        dgate = dgate * (1 - exceeds(gate, 1.0)) * (1 - exceeds(-gate, 0.0))
    return {"x": dx, "weight": dgamma, "bias": dbeta, "gate": dgate}


def _within(gate: Array) -> Array:
    return over_images(np.minimum(np.maximum(gate, 0.0), 1.0))


def _of_batch(x: Array, running: tuple[Array, Array] | None, eps: float) -> Array:
    if running is None:
        return standardize(x, BATCH, eps)
    mean, var = running
    return (x - over_images(mean)) / np.sqrt(over_images(var) + eps)
