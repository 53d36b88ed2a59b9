"""Reading the time of work on a device: what has been queued is waited for, whatever the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch

from normbench.device import synchronize
from normbench.training import graphs_for


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements, in their unit: timings have outliers upwards."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Median and quartiles of at least one value."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return Spread(float(median), float(low), float(high))


def repeatable(works: Sequence[Callable[[], None]], device: torch.device) -> list[Callable[[], None]]:
    """Works as they can be timed on a device: on CUDA captured, each in a graph of its own; elsewhere as they are.

    Sent one by one, kernels as short as those of this network wait for the host, and a clock would time that. Each
    work may need what the one before it has left: all are done once in their order, and captured in it. Works of a
    norm that makes the host wait cannot be captured, and are returned as they are.
    """
    graphs = graphs_for(device)
    if graphs is None:
        return list(works)
    alone = [partial(graphs.concurrently, [work]) for work in works]
    waits = [graphs.watch(work) for work in alone]
    if any(wait is not None for wait in waits):
        return list(works)
    return [graphs.capture(work) for work in alone]


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that some work takes: on CUDA between two events on its stream, elsewhere by the clock."""
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
