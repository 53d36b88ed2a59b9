"""Every contender trains in a process of its own, one at a time: none inherits another's memory, threads or flags.

The process loads, rehearses, and then waits for its turn before every lap.
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
"""Most batches of a rehearsal epoch; half an epoch is enough, too."""


@dataclass(frozen=True)
class Prepared:
    """Setup that a contender chose before its first lap."""

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
    """Reason that a contender could not go on."""

    reason: str


class FailedError(Exception):
    """A contender's process failed or ended; the others go on without it."""


class Entrant:
    """A contender's process, as seen from outside."""

    def __init__(self, entry: Entry, job: Job, choices: Sequence[Setup]) -> None:
        context = multiprocessing.get_context("spawn")
        self.entry, self.job = entry, job
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, entry.name, job, choices, multiprocessing.get_start_method()), name=entry.name
        )
        self.process.start()
        theirs.close()
        self.laps: list[Lap] = []

    def loaded(self) -> None:
        """Wait until the process has loaded what it needs."""
        self._answer()

    def prepare(self) -> Prepared:
        """Let it rehearse."""
        return self._ask()

    def lap(self) -> Lap:
        """Let it run one lap."""
        lap: Lap = self._ask()
        self.laps.append(lap)
        return lap

    def finish(self) -> Finished:
        """Hear what it found, after its last lap."""
        return self._ask()

    def dismiss(self) -> None:
        """Tell the process that nobody listens any more; it ends itself."""
        self.connection.close()

    def close(self) -> None:
        """End the process, finished or not."""
        self.dismiss()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()

    def _ask(self) -> Any:
        try:
            self.connection.send("go")
        except OSError as error:
            raise FailedError("its process has ended") from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join(timeout=5)
            raise FailedError(f"its process ended with exit code {self.process.exitcode}") from error
        if isinstance(answer, Failure):
            raise FailedError(answer.reason)
        return answer


def _serve(connection: Connection, name: str, job: Job, choices: Sequence[Setup], start_method: str) -> None:
    """The life of a contender's process."""
    # A spawned process would spawn in turn: its DataLoader workers are to start as they do in a user's own script.
    multiprocessing.set_start_method(start_method, force=True)
    try:
        warnings.filterwarnings("ignore")  # they would stand between the progress lines
        _compete(connection, CONTENDERS[name], job, choices)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        pass  # whoever listened is gone
    except Exception as error:  # noqa: BLE001
        where = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        connection.send(Failure(reason))


def _compete(connection: Connection, entry: Entry, job: Job, choices: Sequence[Setup]) -> None:
    train = entry.load()
    data = datasets.load(job.config.data, job.machine, job.device)
    connection.send("loaded")
    connection.recv()
    # The flags under which normbench runs, for every contender.
    with randomness.deterministic(False), float32_arithmetic(job.device, job.config.training.precision):
        setup, tried = rehearse(entry, job, data, choices)
        connection.send(Prepared(setup, tried, job.images(data)))
        torch.set_num_threads(setup.threads)
        clock = Clock(job.device, turn=lambda: _or_end(connection.recv), done=lambda lap: _or_end(connection.send, lap))
        train(dataclasses.replace(job, setup=setup), data, clock)
    connection.recv()
    connection.send(Finished(clock.memory, clock.initial_loss))


def _or_end(action: Callable[..., Any], *what: Any) -> None:
    """Hear or tell; if nobody is left on the other side, end at once, whatever a contender's library would still do."""
    try:
        action(*what)
    except (EOFError, OSError):
        os._exit(1)


def rehearse(entry: Entry, job: Job, data: DataSet, choices: Sequence[Setup]) -> tuple[Setup, dict[str, float]]:
    """Train two short epochs with every setup; the setup whose second was fastest, and images per second by setup.

    Where there is no choice, one epoch warms up.
    """
    laps = 2 if len(choices) > 1 else 1
    size = job.config.training.batch_size
    count = max(size, min(REHEARSAL * size, len(data.train) // 2))
    few = dataclasses.replace(data, train=data.train.take(torch.arange(count, device=job.device)))
    tried = {}
    for setup in choices:
        torch.set_num_threads(setup.threads)
        short = dataclasses.replace(job, setup=setup, laps=laps, fleet=tuple(_short(job.fleet, count)))
        clock = Clock(job.device)
        entry.load()(short, few, clock)
        tried[setup] = short.images(few) * max(1, len(short.fleet)) / clock.laps[-1].seconds
    return max(tried, key=lambda setup: tried[setup]), {str(setup): round(speed, 1) for setup, speed in tried.items()}


def _short(fleet: Sequence[Any], count: int) -> Sequence[Any]:
    """The same runs, one epoch of so many images."""
    return [
        config.model_copy(
            update={
                "data": config.data.model_copy(update={"subset": count}),
                "training": config.training.model_copy(update={"epochs": 1}),
            }
        )
        for config in fleet
    ]
