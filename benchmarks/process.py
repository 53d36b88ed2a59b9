"""Processes of the contenders, one each: none inherits the memory, threads or flags of another.

A process loads, rehearses, and then waits for its turn before every lap.
"""

import dataclasses
import multiprocessing
import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import CONTENDERS, Entry
from benchmarks.job import Job
from benchmarks.measure import Clock, Lap
from benchmarks.records import Memory, Setup
from normbench import data as datasets
from normbench import randomness
from normbench.data import DataSet
from normbench.device import float32_arithmetic

REHEARSAL = 16
"""Largest number of batches of a rehearsal epoch, which is at most half an epoch."""


@dataclass(frozen=True)
class Prepared:
    """Setup that was chosen in the rehearsal."""

    setup: Setup
    tried: dict[str, float]
    images: int


@dataclass(frozen=True)
class Finished:
    """Measurements available after the last lap of a contender."""

    memory: Memory | None
    initial_loss: float | None


@dataclass(frozen=True)
class Failure:
    """Reason why a contender ended early."""

    reason: str


class FailedError(Exception):
    """A contender's process failed or ended; the others go on without it."""


class ContenderProcess:
    """Process of a contender, controlled from the main process."""

    def __init__(self, entry: Entry, job: Job, choices: Sequence[Setup]) -> None:
        context = multiprocessing.get_context("spawn")
        self.entry, self.job = entry, job
        self.connection, remote = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(remote, entry.name, job, choices, multiprocessing.get_start_method()), name=entry.name
        )
        self.process.start()
        remote.close()
        self.laps: list[Lap] = []

    def wait_until_loaded(self) -> None:
        """Wait until the process has loaded modules and images."""
        self._receive()

    def prepare(self) -> Prepared:
        """Run the rehearsal."""
        return self._request()

    def lap(self) -> Lap:
        """Run one lap."""
        lap: Lap = self._request()
        self.laps.append(lap)
        return lap

    def finish(self) -> Finished:
        """Receive the measurements after the last lap."""
        return self._request()

    def disconnect(self) -> None:
        """Close the connection, upon which the process ends."""
        self.connection.close()

    def close(self) -> None:
        """End the process, finished or not."""
        self.disconnect()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()

    def _request(self) -> Any:
        try:
            self.connection.send("go")
        except OSError as error:
            raise FailedError("its process has ended") from error
        return self._receive()

    def _receive(self) -> Any:
        try:
            message = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join(timeout=5)
            raise FailedError(f"its process ended with exit code {self.process.exitcode}") from error
        if isinstance(message, Failure):
            raise FailedError(message.reason)
        return message


def _serve(connection: Connection, name: str, job: Job, choices: Sequence[Setup], start_method: str) -> None:
    """Run a contender: the main function of its process."""
    # DataLoader workers start as in a user's script, not by the spawn method of this process.
    multiprocessing.set_start_method(start_method, force=True)
    try:
        warnings.filterwarnings("ignore")  # they would interrupt the progress lines
        _run(connection, CONTENDERS[name], job, choices)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass  # the main process has ended
    except Exception as error:  # noqa: BLE001
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
        connection.send(Failure(reason))


def _run(connection: Connection, entry: Entry, job: Job, choices: Sequence[Setup]) -> None:
    train = entry.load()
    data = datasets.load(job.config.data, job.machine, job.device)
    connection.send("loaded")
    connection.recv()
    # All contenders run with the flags of normbench.
    with randomness.deterministic(False), float32_arithmetic(job.device, job.config.training.precision):
        setup, tried = rehearse(entry, job, data, choices)
        connection.send(Prepared(setup, tried, job.images(data)))
        torch.set_num_threads(setup.threads)
        clock = Clock(
            job.device, turn=lambda: _or_exit(connection.recv), done=lambda lap: _or_exit(connection.send, lap)
        )
        train(dataclasses.replace(job, setup=setup), data, clock)
    connection.recv()
    connection.send(Finished(clock.memory, clock.initial_loss))


def _or_exit(action: Callable[..., Any], *arguments: Any) -> None:
    """Send or receive; if the main process has ended, exit at once, without the teardown of a library."""
    try:
        action(*arguments)
    except (EOFError, OSError):
        os._exit(1)


def rehearse(entry: Entry, job: Job, data: DataSet, choices: Sequence[Setup]) -> tuple[Setup, dict[str, float]]:
    """Train two short epochs with every setup, to find the one whose second epoch is the fastest.

    With a single setup, one epoch warms up.

    Returns:
        The fastest setup, and images per second by setup.
    """
    laps = 2 if len(choices) > 1 else 1
    size = job.config.training.batch_size
    count = max(size, min(REHEARSAL * size, len(data.train) // 2))
    few = dataclasses.replace(data, train=data.train.take(torch.arange(count, device=job.device)))
    tried = {}
    for setup in choices:
        torch.set_num_threads(setup.threads)
        short = dataclasses.replace(job, setup=setup, laps=laps, group=tuple(_short(job.group, count)))
        clock = Clock(job.device)
        entry.load()(short, few, clock)
        tried[setup] = short.images(few) * max(1, len(short.group)) / clock.laps[-1].seconds
    return max(tried, key=lambda setup: tried[setup]), {str(setup): round(speed, 1) for setup, speed in tried.items()}


def _short(group: Sequence[Any], count: int) -> Sequence[Any]:
    """Shorten runs to one epoch of `count` images."""
    return [
        config.model_copy(
            update={
                "data": config.data.model_copy(update={"subset": count}),
                "training": config.training.model_copy(update={"epochs": 1}),
            }
        )
        for config in group
    ]
