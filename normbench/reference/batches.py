"""Norms of batch statistics besides BatchNorm: Batch Renormalization and ghost batches."""

from typing import Any

import numpy as np

from normbench.reference.norms import BATCH, normalize, normalize_backward
from normbench.reference.rounding import joined
from normbench.reference.standardize import (
    Array,
    moments,
    over_images,
    scale_and_shift,
    scale_and_shift_backward,
    standardize_backward,
)

RAMP_OF_R, RAMP_OF_D = 7, 4
"""Lengths of the ramps in units of the warm-up: the paper begins at step 5,000 and ends at 40,000 and at 25,000."""


def bounds(steps: Array, warmup: int, r_max: float, d_max: float) -> tuple[Array, Array]:
    """Bounds of r and d after so many steps: 1 and 0 during the warm-up, then linearly up to r_max and d_max."""
    after = np.maximum(steps - warmup, 0.0)
    share_of_r = np.minimum(after / max(1, RAMP_OF_R * warmup), 1.0)
    share_of_d = np.minimum(after / max(1, RAMP_OF_D * warmup), 1.0)
    return 1 + (r_max - 1) * share_of_r, d_max * share_of_d


def renormalized(x: Array, mean: Array, std: Array, *, limits: tuple[Array, Array], eps: float) -> tuple[Array, Array]:
    """x̂ = r (x - μ_B) / σ_B + d, and r; r = σ_B / σ and d = (μ_B - μ) / σ within their bounds (arXiv:1702.03275)."""
    r_max, d_max = limits
    mean_b, var_b = moments(x, BATCH)
    std_b, std = np.sqrt(var_b + eps), over_images(std)
    r = np.minimum(np.maximum(std_b / std, 1 / r_max), r_max)
    d = np.minimum(np.maximum((mean_b - over_images(mean)) / std, -d_max), d_max)
    return r * (x - mean_b) / std_b + d, r


def batch_renorm_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, std: Array, *, limits: tuple[Array, Array], eps: float
) -> dict[str, Array]:
    """As BatchNorm's with r γ for γ: r and d are constants to the gradient."""
    x_hat, r = renormalized(x, mean, std, limits=limits, eps=eps)
    dx_hat, dgamma, dbeta = scale_and_shift_backward(dy, x_hat, gamma)
    return {"x": standardize_backward(r * dx_hat, x, BATCH, eps), "weight": dgamma, "bias": dbeta}


def batch_renorm(
    x: Array, gamma: Array, beta: Array, mean: Array, std: Array, *, limits: tuple[Array, Array], eps: float
) -> Array:
    """While training: y = γ x̂ + β of the renormalized values; in evaluation x̂ = (x - μ) / σ."""
    return scale_and_shift(renormalized(x, mean, std, limits=limits, eps=eps)[0], gamma, beta)


def moving_averages(x: Array, mean: Array, std: Array, momentum: float, eps: float) -> tuple[Array, Array]:
    """After a batch: μ ← μ + momentum (μ_B - μ), σ ← σ + momentum (σ_B - σ), with σ_B = √(σ²_B + eps)."""
    mean_b, var_b = moments(x, BATCH)
    std_b = np.sqrt(var_b + eps)
    return mean + momentum * (mean_b.reshape(-1) - mean), std + momentum * (std_b.reshape(-1) - std)


def ghosts(x: Any, size: int) -> list[Any]:
    """A batch in ghost batches of so many images; the last has what is left over."""
    return [x[start : start + size] for start in range(0, len(x), size)]


def ghost_batch_norm(x: Array, gamma: Array, beta: Array, size: int, eps: float) -> Array:
    """BatchNorm of each ghost batch alone (arXiv:1705.08741, algorithm 1)."""
    y: Array = joined([normalize(part, gamma, beta, BATCH, eps) for part in ghosts(x, size)])
    return y


def ghost_batch_norm_backward(dy: Array, x: Array, gamma: Array, size: int, eps: float) -> tuple[Array, Array, Array]:
    """BatchNorm's of each ghost batch; γ and β are shared by all."""
    pairs = zip(ghosts(dy, size), ghosts(x, size), strict=True)
    dx, dgamma, dbeta = zip(*(normalize_backward(*pair, gamma, BATCH, eps) for pair in pairs), strict=True)
    return joined(list(dx)), sum(dgamma[1:], dgamma[0]), sum(dbeta[1:], dbeta[0])


def ghost_statistics(x: Array, mean: Array, var: Array, size: int, momentum: float) -> tuple[Array, Array]:
    """Running statistics after a batch: those of BatchNorm after each ghost batch, one after another."""
    for part in ghosts(x, size):
        count = part.size / part.shape[1]
        mean_b, var_b = (moment.reshape(-1) for moment in moments(part, BATCH))
        unbiased = var_b * count / (count - 1)
        mean, var = (1 - momentum) * mean + momentum * mean_b, (1 - momentum) * var + momentum * unbiased
    return mean, var
