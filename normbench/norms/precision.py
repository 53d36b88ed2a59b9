"""One rule for the types that a norm works in under mixed precision, whatever the norm."""

import torch
from torch import Tensor, nn


def apply_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a norm layer; under autocast it computes in float32, and takes and gives the type of its input.

    Left to torch, autocast on CUDA computes batch_norm in bfloat16 and group_norm and layer_norm in float32, which
    they also give to the layers after them: unequal terms in accuracy, memory and speed. Without autocast this is a
    plain call.
    """
    if not autocast_enabled(x) or isinstance(norm, nn.Identity):
        y: Tensor = norm(x)
        return y
    with torch.autocast(x.device.type, enabled=False):
        y = norm(x.float())
    return y.to(x.dtype)


def autocast_enabled(x: Tensor) -> bool:
    """Whether operations on a tensor's device run under autocast; some devices, as `meta`, have none."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
