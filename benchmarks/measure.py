"""Clocks and memory: what a lap took, on a device that has finished its work, and what the process grew by."""

import contextlib
import ctypes
import gc
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.records import Memory, Spread
from normbench.data import DataSet, normalize
from normbench.device import synchronize

PROBE = 64
"""Images on which the untrained networks are compared."""
SAMPLING = 0.05
"""Seconds between two looks at the memory, in the warm-up only."""


@dataclass(frozen=True)
class Lap:
    """One lap of a contender: an epoch, or the training of a whole fleet."""

    seconds: float
    loss: float
    """Training loss of the (last) epoch, averaged over its steps."""


class Clock:
    """Times the laps of one contender, which says when each starts and stops.

    Args:
        device: Waited for before either reading.
        turn: Called before a lap; returns when it is this contender's turn.
        done: Told each finished lap.
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
        """Before anything but the images and the untrained network exists: its loss, and the memory so far."""
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
        """Start the lap; the memory is watched during the warm-up, so that looking at it costs no timed lap."""
        if not self.laps:
            self.watch.start()
        synchronize(self.device)
        self.started = time.perf_counter()

    def stop(self, loss: float, seconds: float | None = None, own_images: int = 0) -> None:
        """End a lap.

        Args:
            loss: Mean training loss of the epoch, in nats.
            seconds: What the lap took, where the contender is told when training begins and ends.
            own_images: Bytes of images that the lap loaded for itself; the others' were there at `begin`.
        """
        synchronize(self.device)
        lap = Lap(time.perf_counter() - self.started if seconds is None else seconds, loss)
        if not self.laps:
            self.memory = self.watch.close(own_images)
        self.laps.append(lap)
        self.done(lap)


def probe_loss(network: nn.Module, data: DataSet) -> float:
    """Loss of an untrained network on the first images, in eval mode on the CPU; nothing in it moves."""
    split = data.train.take(torch.arange(min(PROBE, len(data.train)), device=data.train.labels.device))
    images = normalize(split.images, data.mean, data.std).cpu()
    network.eval()
    with torch.no_grad():
        loss = F.cross_entropy(network(images), split.labels.cpu()).item()
    network.train()
    return loss


class MemoryWatch:
    """Growth of the memory of this process and its workers, and of what torch holds on a CUDA device.

    Pages that several processes share are shared out among them (PSS), so workers do not count twice what they have
    from their parent. Only Linux tells that.
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
        """Give back what is free, and take what is left as the level that growth is measured from."""
        gc.collect()
        if sys.platform == "linux":
            _give_back_free_memory()
        self.level = resident()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            self.cuda_level = torch.cuda.memory_allocated(self.device)

    def start(self) -> None:
        """Look at the memory every now and then, from a thread."""
        if self.level is not None:
            self.peak = self.level
            self.thread = threading.Thread(target=self._sample, daemon=True)
            self.thread.start()

    def close(self, own_images: int) -> Memory:
        """The growth since `open`, less images that were loaded meanwhile."""
        host = cuda = None
        if self.thread is not None:
            self._look()
            self.over.set()
            self.thread.join()
            host = self.peak - (self.level or 0) - (0 if self.cuda else own_images)
        if self.cuda:
            cuda = torch.cuda.max_memory_allocated(self.device) - self.cuda_level - own_images
        return Memory(host_bytes=host, cuda_bytes=cuda)

    def _sample(self) -> None:
        while not self.over.wait(SAMPLING):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, resident() or 0)


def resident() -> int | None:
    """Bytes of memory of this process and its descendants (PSS); None where the system does not tell."""
    found = [_proportional(pid) for pid in _family(os.getpid())]
    return sum(size for size in found if size) or None


def _family(root: int) -> list[int]:
    """A process and its descendants, from /proc."""
    parents = {}
    for process in Path("/proc").iterdir() if sys.platform == "linux" else ():
        if process.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
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


def _give_back_free_memory() -> None:
    """Return freed memory from the C library to the system, so that it cannot hide growth."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def spread(values: Sequence[float]) -> Spread:
    """Median and range."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values), values=tuple(values))
