"""Profiling of time and memory. The memory is what work keeps for the backward pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from normbench.device import synchronize
from normbench.training import graphs_for


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements, in their unit: timings have outliers upwards."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Compute median and quartiles of at least one value."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def repeatable(works: Sequence[Callable[[], None]], device: torch.device) -> list[Callable[[], None]]:
    """Prepare work to be timed: on CUDA captured, each piece in a graph of its own; elsewhere unchanged.

    Launched one by one, kernels as short as those of this network wait for the host, and a clock would time that. A
    piece may need the output of the one before it: all are run once in their order, and captured in it. Work of a norm
    that makes the host wait cannot be captured, and is returned unchanged.
    """
    graphs = graphs_for(device)
    if graphs is None:
        return list(works)
    separate = [partial(graphs.concurrently, [work]) for work in works]
    waits = [graphs.watch(work) for work in separate]
    if any(wait is not None for wait in waits):
        return list(works)
    return [graphs.capture(work) for work in separate]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time some work, with all that it queues: on CUDA between two events on its stream, elsewhere by the clock."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        synchronize(device)
        start.record()
        work()
        end.record()
        synchronize(device)
        return float(start.elapsed_time(end)) / 1000
    synchronize(device)
    started = perf_counter()
    work()
    synchronize(device)
    return perf_counter() - started


def saved_bytes(work: Callable[[], object], module: nn.Module) -> int:
    """Count the bytes that autograd keeps while `work` runs, without the module's own parameters and buffers.

    Memory that two operations keep counts once: the output of a convolution that both the norm after it and the
    activation need is there once.
    """
    excluded = {_address(tensor) for tensor in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is given out twice while counting

    def keep(tensor: Tensor) -> Tensor:
        kept[_address(tensor)] = tensor.untyped_storage()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = work()
    del output
    return sum(storage.nbytes() for address, storage in kept.items() if address not in excluded)


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def allocated_bytes(device: torch.device) -> int:
    """Return the memory that torch's allocator has given out on a CUDA device; 0 on other devices."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def peak_bytes(work: Callable[[], object], device: torch.device, before: int = 0) -> int | None:
    """Measure the most memory given out on a CUDA device while `work` runs, minus `before`; None on other devices."""
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
