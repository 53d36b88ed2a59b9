"""Memory that a forward pass keeps for the backward pass, counted exactly and on any device."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def saved_bytes(work: Callable[[], object], module: nn.Module) -> int:
    """Bytes that autograd keeps while `work` runs, beyond the module's own parameters and buffers.

    What two operations keep of the same memory counts once: a convolution's result that the norm after it and the
    activation both need is there once.
    """
    own = {_memory(tensor) for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice while counting

    def keep(tensor: Tensor) -> Tensor:
        kept[_memory(tensor)] = tensor.untyped_storage()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    del result
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def allocated_bytes(device: torch.device) -> int:
    """Memory that torch's allocator has given out on a CUDA device; 0 on other devices."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def peak_bytes(work: Callable[[], object], device: torch.device, before: int = 0) -> int | None:
    """Most memory given out on a CUDA device while `work` ran, less what was there `before`; None on other devices."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
