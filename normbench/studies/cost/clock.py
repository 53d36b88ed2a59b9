"""Reading the time of work on a device: what has been queued is waited for, whatever the device."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from normbench.device import synchronize


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
