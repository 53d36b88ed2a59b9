"""normbench, the runs of one comparison: `engine.run_all`, as `normbench compare` uses it.

What is timed is training: the wall-clock during which at least one run is between its start and its last epoch, the
state that each epoch writes to the disk included; reading the images before and scoring after are not.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench import engine
from normbench.config import RunConfig
from normbench.data import DataSet
from normbench.errors import RunFailedError
from normbench.runs import RunResult
from normbench.training import EpochRow


class Stopwatch:
    """A listener that keeps when each run began and finished its last epoch; runs may tell from several threads."""

    def __init__(self, on_first_run: Callable[[], None]) -> None:
        self.on_first_run = on_first_run
        self.lock = threading.Lock()
        self.spans: dict[str, list[float]] = {}
        self.rows: dict[str, EpochRow] = {}

    def run_started(self, config: RunConfig, _folder: Path, _first_epoch: int) -> None:
        """The run begins to train."""
        with self.lock:
            if not self.spans:
                self.on_first_run()
            self.spans[config.fingerprint] = [time.perf_counter()] * 2

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """The run trained at least until now."""
        with self.lock:
            self.spans[config.fingerprint][1] = time.perf_counter()
            self.rows[config.fingerprint] = row

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Scoring is over; it is not timed."""

    def warning(self, message: str) -> None:
        """Nothing that the figures depend on."""

    @property
    def seconds(self) -> float:
        """Wall-clock that the spans cover, overlaps once."""
        return covered([(start, end) for start, end in self.spans.values()])


def covered(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
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
            clock.stop(first.train_running_loss, stopwatch.seconds, own_images)
