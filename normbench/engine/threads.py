"""Runs side by side on a CPU: each on a thread of its own, since torch lets go of Python while it computes."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import torch

from normbench.config import RunConfig
from normbench.runs import Listener, RunResult
from normbench.training import EpochRow

Job = TypeVar("Job")
Done = TypeVar("Done")

PATIENCE = 5.0
"""Seconds that an interrupted process waits for its threads; what they write is whole at any moment."""


class Stopped(BaseException):
    """Raised in a thread whose process was interrupted; no failure, so nothing that handles failures catches it."""


class Threads(Generic[Job, Done]):
    """Does jobs on threads, and gives what came of each in the order in which they end.

    Args:
        work: Does one job; what it raises is given in place of its result.
        at_once: Threads.
    """

    def __init__(self, work: Callable[[Job], Done], at_once: int) -> None:
        self.work = work
        self.at_once = at_once
        self.stop = threading.Event()
        self.waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.ended: queue.Queue[tuple[Job, Done | Exception]] = queue.Queue()

    def do(self, jobs: Sequence[Job]) -> Generator[tuple[Job, Done | Exception], None, None]:
        """Yield each job with its result, or with the exception that it ended with.

        Left early, as by Ctrl-C, it tells its threads to stop and waits for them a little.
        """
        for job in jobs:
            self.waiting.put(job)
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(min(self.at_once, len(jobs)))]
        for thread in threads:
            thread.start()
        try:
            for _ in jobs:
                yield self._next()
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(PATIENCE)

    def _next(self) -> tuple[Job, Done | Exception]:
        while True:
            try:
                return self.ended.get(timeout=1.0)  # on some systems a wait without end cannot be interrupted
            except queue.Empty:
                continue

    def _serve(self) -> None:
        while not self.stop.is_set():
            try:
                job = self.waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self.ended.put((job, self.work(job)))
            except Stopped:
                return
            except Exception as error:  # noqa: BLE001  # handed on to whoever asked for the job
                self.ended.put((job, error))

    def interrupted(self) -> None:
        """To be asked while a job is under way.

        Raises:
            Stopped: The job is not wanted any more.
        """
        if self.stop.is_set():
            raise Stopped


@contextmanager
def threads_each(count: int | None) -> Iterator[None]:
    """Let torch compute with this many threads for each thread of Python; None leaves it alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class OneAtATime:
    """A listener that several threads may call."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.lock = threading.Lock()

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Pass it on."""
        with self.lock:
            self.listener.run_started(config, folder, first_epoch)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Pass it on."""
        with self.lock:
            self.listener.epoch_done(config, row)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Pass it on."""
        with self.lock:
            self.listener.run_finished(config, result, already_done)

    def warning(self, message: str) -> None:
        """Pass it on."""
        with self.lock:
            self.listener.warning(message)
