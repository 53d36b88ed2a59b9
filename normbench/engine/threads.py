"""Concurrent runs on a CPU: a thread each, since torch releases Python's lock while it computes."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import torch

from normbench.errors import RunFailedError
from normbench.interruption import OURS

Job = TypeVar("Job")
Done = TypeVar("Done")

PATIENCE = 5.0
"""Seconds that an interrupted process waits for its threads; what they write is whole at any moment."""


class Stopped(BaseException):
    """Raised in a thread whose process was interrupted; no failure, so nothing that handles failures catches it."""


class Threads(Generic[Job, Done]):
    """Does jobs on threads, and gives what came of each in the order in which they end.

    Args:
        work: Does one job; an `Exception` that it raises is given in place of its result, anything else ends all jobs.
        at_once: Threads. Where the system grants fewer, those do; where it grants none, the caller's own.
    """

    def __init__(self, work: Callable[[Job], Done], at_once: int) -> None:
        self.work = work
        self.at_once = at_once
        self.stop = threading.Event()
        self.waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.ended: queue.Queue[tuple[Job, Done | BaseException]] = queue.Queue()

    def do(self, jobs: Sequence[Job]) -> Generator[tuple[Job, Done | Exception], None, None]:
        """Yield each job with its result, or with the exception that it ended with.

        Left early, as by Ctrl-C, it tells its threads to stop and waits for them a little.

        Raises:
            BaseException: A job ended with something that is no `Exception`.
        """
        for job in jobs:
            self.waiting.put(job)
        try:
            self._start(min(self.at_once, len(jobs)))
            if not self.threads:
                self._serve()
            for _ in jobs:
                job, outcome = self._next()
                if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                    raise outcome
                yield job, outcome
        finally:
            self.stop.set()
            for thread in self.threads:
                thread.join(PATIENCE)

    def _start(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._serve, name=f"{OURS}run", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system grants no more
                return
            self.threads.append(thread)

    def _next(self) -> tuple[Job, Done | BaseException]:
        while True:
            serving = not self.threads or any(thread.is_alive() for thread in self.threads)
            try:
                # On some systems a wait without end cannot be interrupted.
                return self.ended.get(timeout=1.0 if serving else 0.0)
            except queue.Empty:
                if not serving:
                    raise RunFailedError("a thread of this process ended without a word") from None

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
            except BaseException as error:  # noqa: BLE001  # handed on to whoever asked for the job
                self.ended.put((job, error))
                if not isinstance(error, Exception):
                    return

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
