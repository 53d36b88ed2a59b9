"""Clock and memory: time of a lap, with the device synchronized, and growth of the process."""

import contextlib
import ctypes
import gc
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.records import Memory, Spread
from normbench.data import DataSet, normalize
from normbench.device import synchronize

PROBE = 64
"""Images on which the untrained networks are compared."""
SAMPLING = 0.05
"""Seconds between two samples of the memory, in the warm-up only."""


@dataclass(frozen=True)
class Lap:
    """One lap of a contender: an epoch, or the training of a whole run group."""

    seconds: float
    loss: float
    """Training loss of the (last) epoch, averaged over its steps."""


class Clock:
    """Clock of one contender, which starts and stops it for each lap.

    Args:
        device: Synchronized before each reading.
        turn: Called before a lap; returns when it is this contender's turn.
        done: Receives each finished lap.
    """

    def __init__(
        self,
        device: torch.device,
        turn: Callable[[], object] = lambda: None,
        done: Callable[[Lap], object] = lambda _lap: None,
    ) -> None:
        self.device, self.turn, self.done = device, turn, done
        self.laps: list[Lap] = []
        self.initial_loss: float | None = None
        self.watch = MemoryWatch(device)
        self.memory: Memory | None = None

    def begin(self, network: nn.Module | None, data: DataSet) -> None:
        """Measure the loss of the untrained network and the memory, before anything else exists."""
        if network is not None:
            self.initial_loss = probe_loss(network, data)
        self.watch.open()

    def start(self) -> None:
        """Wait for the turn, and start a lap."""
        self.wait()
        self.go()

    def wait(self) -> None:
        """Wait for the turn."""
        self.turn()

    def go(self) -> None:
        """Start the lap; memory is sampled during the warm-up only, so that it slows down no timed lap."""
        if not self.laps:
            self.watch.start()
        synchronize(self.device)
        self.started = time.perf_counter()

    def stop(self, loss: float, seconds: float | None = None, loaded_images: int = 0) -> None:
        """End a lap.

        Args:
            loss: Mean training loss of the epoch, in nats.
            seconds: Time of the lap, if the contender measures its training itself.
            loaded_images: Bytes of images that the lap loaded; those of other contenders exist at `begin`.
        """
        synchronize(self.device)
        lap = Lap(time.perf_counter() - self.started if seconds is None else seconds, loss)
        if not self.laps:
            self.memory = self.watch.close(loaded_images)
        self.laps.append(lap)
        self.done(lap)


def probe_loss(network: nn.Module, data: DataSet) -> float:
    """Compute the loss of an untrained network on the first images, in eval mode on the CPU, without changing it."""
    split = data.train.take(torch.arange(min(PROBE, len(data.train)), device=data.train.labels.device))
    images = normalize(split.images, data.mean, data.std).cpu()
    network.eval()
    with torch.no_grad():
        loss = F.cross_entropy(network(images), split.labels.cpu()).item()
    network.train()
    return loss


class MemoryWatch:
    """Growth of the memory of this process and its workers, and of torch's memory on a CUDA device.

    Pages that several processes share are divided among them (PSS), so that the pages that workers share with their
    parent count once. Available on Linux only.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.cuda = device.type == "cuda"
        self.level: int | None = None
        self.cuda_level = 0
        self.peak = 0
        self.over = threading.Event()
        self.thread: threading.Thread | None = None

    def open(self) -> None:
        """Release free memory, and take the rest as the baseline of the growth."""
        gc.collect()
        if sys.platform == "linux":
            _release_free_memory()
        self.level = resident()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            self.cuda_level = torch.cuda.memory_allocated(self.device)

    def start(self) -> None:
        """Sample the memory regularly, in a thread."""
        if self.level is not None:
            self.peak = self.level
            self.thread = threading.Thread(target=self._sample, daemon=True)
            self.thread.start()

    def close(self, loaded_images: int) -> Memory:
        """Return the growth since `open`, without images that were loaded since."""
        host = cuda = None
        if self.thread is not None:
            self._sample_once()
            self.over.set()
            self.thread.join()
            host = self.peak - (self.level or 0) - (0 if self.cuda else loaded_images)
        if self.cuda:
            cuda = torch.cuda.max_memory_allocated(self.device) - self.cuda_level - loaded_images
        return Memory(host_bytes=host, cuda_bytes=cuda)

    def _sample(self) -> None:
        while not self.over.wait(SAMPLING):
            self._sample_once()

    def _sample_once(self) -> None:
        self.peak = max(self.peak, resident() or 0)


def resident() -> int | None:
    """Measure the memory of this process and its descendants in bytes (PSS); None if it is not available."""
    sizes = [_proportional(pid) for pid in _family(os.getpid())]
    return sum(size for size in sizes if size) or None


def _family(root: int) -> list[int]:
    """List a process and its descendants, from /proc."""
    parents = {}
    for process in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    family = [root]
    for member in family:
        family += [pid for pid, parent in parents.items() if parent == member]
    return family


def _proportional(pid: int) -> int | None:
    """Return the anonymous memory (PSS) of a process; program files are excluded, since other processes share them."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))]
        return sum(sizes) or None
    return None


def _release_free_memory() -> None:
    """Return freed memory from the C library to the system, so that it cannot hide growth."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class OtherWork:
    """Mean number of processors that other processes kept busy during a measurement; available on Linux only."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.others = 0.0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Count during this part of the measurement; several parts add up."""
        before, started = processor_seconds(), time.perf_counter()
        yield
        after = processor_seconds()
        if before is not None and after is not None:
            self.seconds += time.perf_counter() - started
            self.others += max(0.0, (after.machine - before.machine) - (after.family - before.family))

    @property
    def load(self) -> float | None:
        """Processors kept busy, on average."""
        return round(self.others / self.seconds, 2) if self.seconds else None


class ProcessorSeconds(NamedTuple):
    """Processor time so far, in seconds."""

    machine: float
    """Time that the processors were not idle, that which a host took from a virtual machine included."""
    family: float
    """Time of this process, its descendants, and those that have ended."""


def processor_seconds() -> ProcessorSeconds | None:
    """Read the processor time of machine and process family; None if it is not available."""
    if sys.platform != "linux":
        return None
    tick = os.sysconf("SC_CLK_TCK")
    user, nice, system, _idle, _waiting, *others = map(int, Path("/proc/stat").read_text().split()[1:9])
    family = 0
    for pid in _family(os.getpid()):
        with contextlib.suppress(OSError):  # it has ended
            family += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ProcessorSeconds((user + nice + system + sum(others)) / tick, family / tick)


def spread(values: Sequence[float], load: float | None = None) -> Spread:
    """Compute median and range.

    Args:
        values: Figure of each repeat.
        load: Processors that other processes kept busy meanwhile.
    """
    return Spread(median=statistics.median(values), low=min(values), high=max(values), values=tuple(values), load=load)
