"""normbench, the runs of one comparison: `engine.run_all`, as `normbench compare` uses it.

The time includes training, the state written to disk after each epoch, and the capture of the step, if any. It excludes
reading the images before and scoring after, which no other contender does.
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
        """Record the start of training."""
        if not self.changes:
            self.on_first_run()
        self.changes.append(Change(time.perf_counter(), training=1, scoring=0))

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Record the end of training after the last epoch, when scoring begins."""
        self.rows[config.fingerprint] = row
        if row.epoch == config.training.epochs:
            self.changes.append(Change(time.perf_counter(), training=-1, scoring=1))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Record the end of scoring."""
        self.changes.append(Change(time.perf_counter(), training=0, scoring=-1))


class Change(NamedTuple):
    """Start or end of the training or the scoring of one run."""

    at: float
    training: int
    scoring: int


def training_seconds(changes: Sequence[Change]) -> float:
    """Sum the wall-clock time of training, weighted by the fraction of the active runs that train.

    While one run trains and another is scored, half of the time counts.
    """
    total, training, scoring = 0.0, 0, 0
    for change, following in pairwise(changes):
        training += change.training
        scoring += change.scoring
        if training:
            total += (following.at - change.at) * training / (training + scoring)
    return total


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train all runs of the group once per lap, each time from scratch.

    Raises:
        RunFailedError: A run failed or diverged, so that the time is not that of the whole group.
    """
    clock.begin(None, data)
    loaded_images = data.train.images.nbytes + data.test.images.nbytes
    for _ in range(job.laps):
        with tempfile.TemporaryDirectory() as out:
            machine = job.machine.model_copy(update={"out": Path(out)})
            plan = engine.plan(job.group, machine, "run-group")
            clock.wait()
            stopwatch = Stopwatch(clock.go)
            results = engine.run_all(plan, stopwatch)
            for result in results:
                if result.status != "done":
                    raise RunFailedError(f"run {result.norm}, seed {result.seed}, {result.status}: {result.problem}")
            first = stopwatch.rows[plan.configs[0].fingerprint]
            clock.stop(first.train_running_loss, training_seconds(stopwatch.changes), loaded_images)
