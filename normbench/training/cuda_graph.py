"""Training steps captured as CUDA graphs. The host states a step once, and the device repeats it."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Graphs(Protocol):
    """A device that can record work and repeat it on the same memory."""

    def concurrently(self, works: Sequence[Callable[[], None]]) -> None:
        """Do works that do not depend on each other, at once where the device can, and wait for them all."""

    def watch(self, step: Callable[[], None]) -> str | None:
        """Take a step; returns the line (`file:number`) at which the host waited for the device, if it did."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record a step, without its effects; returns what repeats it."""


WAITED = "synchronizing CUDA operation"
"""In torch's words, where the host waits for the device: a capture that meets one fails."""


class CudaGraphs:
    """CUDA graphs: one for the whole step, with a stream for each piece of work that runs concurrently."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.streams: list[torch.cuda.Stream] = []

    def concurrently(self, works: Sequence[Callable[[], None]]) -> None:
        """Each work on a stream of its own, also a single one: no captured work may touch the default stream.

        All streams are joined whatever a work raises: a capture that a stream is left out of cannot be ended, and
        leaves torch's allocator of no more use to the process.
        """
        while len(self.streams) < len(works):
            self.streams.append(torch.cuda.Stream(self.device))
        current = torch.cuda.current_stream(self.device)
        started: list[torch.cuda.Stream] = []
        try:
            for stream, work in zip(self.streams, works, strict=False):
                stream.wait_stream(current)
                started.append(stream)
                with torch.cuda.stream(stream):
                    work()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the failure of a work counts, not that of what it left behind
                _join(current, started)
            raise
        _join(current, started)

    def watch(self, step: Callable[[], None]) -> str | None:
        """Take a step while torch warns of every operation that makes the host wait."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                step()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        waits = [one for one in caught if WAITED in str(one.message)]
        for other in (one for one in caught if one not in waits and "debug mode" not in str(one.message)):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
        return f"{waits[0].filename}:{waits[0].lineno}" if waits else None

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record the kernels of a step that has run before; a replay is one launch.

        Raises:
            BaseException: Whatever the step raises; not that its capture could not be ended.
        """
        failures: list[BaseException] = []

        def record() -> None:
            try:
                step()
            except BaseException as error:
                failures.append(error)
                raise

        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.device(self.device), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The CUDA Graph is empty")  # as of the norm layers of `none`
                with torch.cuda.graph(graph):
                    record()
        except BaseException as error:
            if failures and error is not failures[0]:
                raise failures[0] from None
            raise
        return graph.replay


def _join(current: torch.cuda.Stream, streams: Sequence[torch.cuda.Stream]) -> None:
    for stream in streams:
        current.wait_stream(stream)


def graphs_for(device: torch.device) -> Graphs | None:
    """Capture for a device; None where there is none."""
    return CudaGraphs(device) if device.type == "cuda" else None
