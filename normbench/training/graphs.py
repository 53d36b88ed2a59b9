"""Captured steps: what the host says once, and the device repeats without it."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Graphs(Protocol):
    """A device that can record work and repeat it on the same memory."""

    def side_by_side(self, works: Sequence[Callable[[], None]]) -> None:
        """Do works that do not depend on each other, at once where the device can, and wait for them all."""

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record a step, without its effects; returns what repeats it."""


class CudaGraphs:
    """CUDA graphs: one for the whole step, with a stream for each work that runs side by side."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.streams: list[torch.cuda.Stream] = []

    def side_by_side(self, works: Sequence[Callable[[], None]]) -> None:
        """Each work on a stream of its own, also a single one: no captured work may touch the default stream."""
        while len(self.streams) < len(works):
            self.streams.append(torch.cuda.Stream(self.device))
        current = torch.cuda.current_stream(self.device)
        streams = self.streams[: len(works)]
        for stream, work in zip(streams, works, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                work()
        for stream in streams:
            current.wait_stream(stream)

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record the kernels of a step that has run before; a replay is one launch."""
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.device), torch.cuda.graph(graph):
            step()
        return graph.replay


def graphs_of(device: torch.device) -> Graphs | None:
    """What captures on a device; None where nothing does."""
    return CudaGraphs(device) if device.type == "cuda" else None
