"""Variances that torch takes in one pass, as E[x²] - E[x]²: how uncertain rounding makes them.

torch's group norm for the CPU does so where its input lies in channels last. The two terms cancel where the mean is far
above the standard deviation, so that the variance is off by a rounding of E[x²], which may be far above the variance.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class OnePassWatch(TorchDispatchMode):
    """Watch what runs inside for variances in one pass."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uncertainty = 0.0
        """The largest (E[x²] + E[x]² + eps) / (variance + eps) of the groups that were seen; 0 if there were none."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note a group norm in channels last, and run whatever it is."""
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
    """The factor by which such a variance may enlarge errors that are measured by the terms of a result.

    Args:
        uncertainty: As the watch noted it; 0 for none.
        bound: Of a relative error: the variance is off by at most `bound` times `uncertainty` of itself.
        power: Of the variance in the result: 0.5 forward, 1.5 in gradients.

    Returns:
        1 where nothing was noted; infinite where rounding may take the variance to 0, so that nothing can be decided.
    """
    share = uncertainty * bound
    return float(np.inf) if share >= 1 else 1 + power * uncertainty / (1 - share) ** 2
