"""normbench, the runs of one comparison: `engine.run_all`, as `normbench compare` uses it.

What is timed is training, with the state that each epoch writes to the disk and with the capture of the step, if any;
reading the images before is not, nor is scoring after, which nobody else here does.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench import engine
from normbench.config import RunConfig
from normbench.data import DataSet
from normbench.errors import RunFailedError
from normbench.runs import RunResult
from normbench.training import EpochRow


class Stopwatch(engine.Callback):
    """Callback that records when runs train and when they are scored."""

    def __init__(self, on_first_run: Callable[[], None]) -> None:
        self.on_first_run = on_first_run
        self.changes: list[Change] = []
        self.rows: dict[str, EpochRow] = {}

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """The run begins to train."""
        if not self.changes:
            self.on_first_run()
        self.changes.append(Change(time.perf_counter(), training=1, scoring=0))

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """After its last epoch the run is scored."""
        self.rows[config.fingerprint] = row
        if row.epoch == config.training.epochs:
            self.changes.append(Change(time.perf_counter(), training=-1, scoring=1))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """The run is over."""
        self.changes.append(Change(time.perf_counter(), training=0, scoring=-1))


class Change(NamedTuple):
    """One run begins or ends to train, or to be scored."""

    at: float
    training: int
    scoring: int


def training_seconds(changes: Sequence[Change]) -> float:
    """Wall-clock of the training: a moment counts with the share of its runs that train, of those at work.

    When one run trains while another is being scored, half of the machine trains.
    """
    total, training, scoring = 0.0, 0, 0
    for change, following in pairwise(changes):
        training += change.training
        scoring += change.scoring
        if training:
            total += (following.at - change.at) * training / (training + scoring)
    return total


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train all runs of the fleet, once a lap, each time from the start.

    Raises:
        RunFailedError: A run failed or diverged, so that the time is not that of the whole fleet.
    """
    clock.begin(None, data)
    own_images = data.train.images.nbytes + data.test.images.nbytes
    for _ in range(job.laps):
        with tempfile.TemporaryDirectory() as out:
            machine = job.machine.model_copy(update={"out": Path(out)})
            planned = engine.plan(job.fleet, machine, "fleet")
            clock.wait()
            stopwatch = Stopwatch(clock.go)
            results = engine.run_all(planned, stopwatch)
            for result in results:
                if result.status != "done":
                    raise RunFailedError(f"run {result.norm}, seed {result.seed}, {result.status}: {result.problem}")
            first = stopwatch.rows[planned.configs[0].fingerprint]
            clock.stop(first.train_running_loss, training_seconds(stopwatch.changes), own_images)
