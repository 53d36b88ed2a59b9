"""Run group: runs trained in lockstep. Their steps are in one captured graph where the device has such."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from normbench.training.cuda_graph import Graphs
from normbench.training.epoch import EpochRow
from normbench.training.run import DivergedError, Training

WARM_UP = 3
"""Steps before the capture, which are steps of the training as all others: libraries choose their kernels in the first,
momentum comes into being, and memory finds its size."""


def uncaptured(norms: str, reason: str) -> str:
    """The warning that runs are trained without a captured step, which costs speed and no accuracy."""
    return f"{norms}: trained without a CUDA graph, which is slower: {reason}"


class RunGroup:
    """Runs with equal epochs, batch size and data set; those that share `batches` draw each batch once.

    Args:
        members: The runs; one alone is a group as well.
        graphs: Captures the step of all members; None takes every step as it is written.
        interrupted: Asked before each step; what it raises ends the epoch.
        warn: Is told, in words, why steps cannot be captured that were to be.
        stepped: Receives the epoch, the step of it that is done (from 1), and its number of steps.
    """

    def __init__(
        self,
        members: Sequence[Training],
        graphs: Graphs | None = None,
        interrupted: Callable[[], None] = lambda: None,
        warn: Callable[[str], None] = lambda _: None,
        stepped: Callable[[int, int, int], None] = lambda _epoch, _step, _steps: None,
    ) -> None:
        self.members = list(members)
        self.graphs = graphs
        self.interrupted = interrupted
        self.warn = warn
        self.stepped = stepped
        self.capture_seconds = 0.0
        self._replay: Callable[[], None] | None = None
        self._steps = 0

    def epoch(self, epoch: int) -> list[EpochRow | DivergedError]:
        """Train every member for one epoch and score its validation split; a diverged member stops no other.

        Args:
            epoch: Number of the epoch, from 1.

        Returns:
            The metrics of each member, or the error of one that diverged, in the order of the members.
        """
        started = time.perf_counter()
        rates = [member.lr for member in self.members]
        for batches in dict.fromkeys(member.batches for member in self.members):
            batches.start(epoch)
        for member in self.members:
            member.begin(epoch)
        steps = len(self.members[0].batches)
        for step in range(1, steps + 1):
            self._advance()
            self.stepped(epoch, step, steps)
        # The only transfer of the epoch; it also waits for the device.
        totals = torch.stack([member.totals for member in self.members]).tolist()
        seconds = time.perf_counter() - started
        return [
            member.finish(epoch, lr, loss, correct, seconds)
            for member, lr, (loss, correct) in zip(self.members, rates, totals, strict=True)
        ]

    def _advance(self) -> None:
        self.interrupted()
        if self.graphs is None or self._steps < WARM_UP - 1:
            self._step()
        elif self._steps == WARM_UP - 1:
            self._watched(self.graphs)
        else:
            self._captured(self.graphs)()
        self._steps += 1
        for member in self.members:
            member.after_step()

    def _step(self) -> None:
        # Every batch stays alive until all members are through: a stream does not know what another one still reads.
        drawn = {id(batches): batches.next() for batches in {id(m.batches): m.batches for m in self.members}.values()}
        works = [partial(member.step, *drawn[id(member.batches)]) for member in self.members]
        if self.graphs is None:
            for work in works:
                work()
        else:
            self.graphs.concurrently(works)

    def _watched(self, graphs: Graphs) -> None:
        """The last step before the capture: after a failed one torch 2.11 has no usable memory left on the device."""
        place = graphs.watch(self._step)
        if place is not None:
            norms = ", ".join(dict.fromkeys(member.config.norm for member in self.members))
            self.warn(uncaptured(norms, f"the host waits for the device at {place}"))
            self.graphs = None

    def _captured(self, graphs: Graphs) -> Callable[[], None]:
        if self._replay is None:
            started = time.perf_counter()
            self._replay = graphs.capture(self._step)
            self.capture_seconds = time.perf_counter() - started
        return self._replay
