"""Uncertainty of variances computed in one pass. torch computes them as E[x²] - E[x]².

torch's group norm on the CPU does so for inputs in channels last. If the mean is far above the standard deviation, the
two terms cancel, and the variance has the rounding error of E[x²], which may be far larger than the variance.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class OnePassWatch(TorchDispatchMode):
    """Watch the operations run inside for variances in one pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uncertainty = 0.0
        """Largest (E[x²] + E[x]² + eps) / (variance + eps) of the groups seen; 0 if there were none."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record a group norm in channels last; run every operation."""
        if func is torch.ops.aten.native_group_norm.default and _is_channels_last(args[0]):
            x, groups, eps = args[0], args[6], args[7]
            self.uncertainty = max(self.uncertainty, _uncertainty(x, groups, eps))
        return func(*args, **(kwargs or {}))


def _is_channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)


def _uncertainty(x: Tensor, groups: int, eps: float) -> float:
    values = x.detach().double().reshape(len(x), groups, -1)
    squares, mean = values.square().mean(2), values.mean(2)
    var = values.var(2, correction=0)
    return float(((squares + mean.square() + eps) / (var + eps)).max())


def allowance(uncertainty: float, bound: float, power: float) -> float:
    """Compute the factor by which such a variance may enlarge errors relative to the terms of a result.

    Args:
        uncertainty: As recorded by the watch; 0 for none.
        bound: Bound of rounding: the relative error of the variance is at most `bound` times `uncertainty`.
        power: Power of the variance in the result: 0.5 forward, 1.5 in gradients.

    Returns:
        1 if nothing was recorded; infinite if rounding may take the variance to 0, so that nothing can be decided.
    """
    error = uncertainty * bound
    return float(np.inf) if error >= 1 else 1 + power * uncertainty / (1 - error) ** 2
