"""Live views of runs: TensorBoard, wandb and trackio.

A tracker is a callback beside the console; it gets what `metrics.jsonl` and `result.json` get, and changes nothing. It
works on a thread of its own, so one that fails or hangs costs a warning, and no training.
"""

import importlib
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from normbench import interruption
from normbench.config import RunConfig
from normbench.engine import Callback, CallbackList
from normbench.errors import UsageError, unknown
from normbench.runs import RunResult, flat
from normbench.training import EpochRow

WITH_RUNS = ("trackio", "wandb")
TRACKERS = ("tensorboard", *WITH_RUNS)

PATIENCE = 30.0
"""Seconds that a tracker may take for one call once no run is under way."""
HURRY = 3.0
"""The same when the process was told to end."""


class TensorBoardTracker(Callback):
    """Writes an event file into every run folder; `tensorboard --logdir runs` shows them together."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError("--track tensorboard needs tensorboard", "pip install 'normbench[tensorboard]'") from error
        self.make = SummaryWriter
        self.writers: dict[str, Any] = {}
        """Open runs by fingerprint."""

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Open the run's event file; what a resumed run had written after its last state is hidden."""
        self._close(config)  # it goes on in a smaller group
        self.writers[config.fingerprint] = self.make(str(folder), purge_step=first_epoch)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Write the epoch's figures, and to the disk at once."""
        writer = self.writers[config.fingerprint]
        for name, value in figures(row).items():
            writer.add_scalar(name, value, row.epoch)
        writer.flush()

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Write train and test accuracy as one last point, and close the file."""
        writer = self.writers.pop(config.fingerprint, None)
        if writer is None:
            return
        for name, value in outcome(result).items():
            writer.add_scalar(name, value, result.epochs)
        writer.close()

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Close the run's event file."""
        self._close(config)

    def _close(self, config: RunConfig) -> None:
        if (writer := self.writers.pop(config.fingerprint, None)) is not None:
            writer.close()


class RunTracker(Callback):
    """wandb and trackio: a run of theirs for each run, of which several are open at once."""

    def __init__(self, name: str) -> None:
        try:
            self.module = importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--track {name} needs {name}", f"pip install {name}") from error
        self.name = name
        self.runs: dict[str, Any] = {}
        """Open runs by fingerprint."""

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Begin a run of the project `normbench`, named as its folder, with every setting."""
        if config.fingerprint in self.runs:  # it goes on in a smaller group
            return
        if self.name == "wandb":
            how = {"reinit": "create_new", "settings": {"console": "off"}}
        else:
            how = {"resume": "allow" if first_epoch > 1 else "never"}
        settings = flat(config.model_dump(mode="json"))
        self.runs[config.fingerprint] = self.module.init(project="normbench", name=folder.name, config=settings, **how)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Log the epoch's figures."""
        self.runs[config.fingerprint].log(figures(row), step=row.epoch)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Log train and test accuracy and end the run."""
        if (run := self.runs.pop(config.fingerprint, None)) is not None:
            run.log(outcome(result), step=result.epochs)
            run.finish()

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """End the run as one that failed, where there is such an end."""
        if (run := self.runs.pop(config.fingerprint, None)) is not None:
            run.finish(**({"exit_code": 1} if self.name == "wandb" else {}))


class Detached(Callback):
    """Makes the calls of a tracker in order on a thread of its own; the first that fails or hangs is the last.

    Args:
        tracker: The tracker.
        name: Its name, for the warning.
        warn: Told once if the tracker fails.
    """

    def __init__(self, tracker: Callback, name: str, warn: Callable[[str], None]) -> None:
        self.tracker, self.name, self.warn = tracker, name, warn
        self.calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.under_way: set[str] = set()
        self.made = 0
        self.broken = False
        self.thread: threading.Thread | None = None
        self.stdout = _Aside(sys.stdout)

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Pass it on."""
        self.under_way.add(config.fingerprint)
        self._call(lambda: self.tracker.run_started(config, folder, first_epoch))

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Pass it on."""
        self._call(lambda: self.tracker.epoch_done(config, row))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Pass it on, and wait for the tracker after the last run."""
        if config.fingerprint in self.under_way:
            self._call(lambda: self.tracker.run_finished(config, result, already_done))
            self._end(config)

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Pass it on, and wait for the tracker after the last run."""
        if config.fingerprint in self.under_way:
            self._call(lambda: self.tracker.run_failed(config, problem))
            self._end(config)

    def _call(self, call: Callable[[], None]) -> None:
        if self.broken:
            return
        if self.thread is None:
            thread = threading.Thread(target=self._serve, name=f"{interruption.OURS}tracker", daemon=True)
            self.stdout = _Aside(sys.stdout)
            sys.stdout = self.stdout
            try:
                thread.start()
            except RuntimeError as error:  # the system grants no more threads
                self._give_up(str(error))
                return
            self.thread = thread
        self.calls.put(call)

    def _serve(self) -> None:
        while (call := self.calls.get()) is not None:
            if self.broken:
                continue
            try:
                call()
            except BaseException as error:  # noqa: BLE001  # nothing that a tracker raises is worth a training
                self._give_up(f"{type(error).__name__}: {error}")
            self.made += 1

    def _end(self, config: RunConfig) -> None:
        self.under_way.discard(config.fingerprint)
        thread = self.thread
        if self.under_way or thread is None:
            return
        self.calls.put(None)
        made, since = self.made, time.monotonic()
        while thread.is_alive():
            thread.join(0.05)
            if self.made != made:
                made, since = self.made, time.monotonic()
            if time.monotonic() - since > (HURRY if interruption.happened() else PATIENCE):
                self._give_up(f"it has not answered for {time.monotonic() - since:.0f} s")
                break
        self.thread = None
        if sys.stdout is self.stdout:
            sys.stdout = self.stdout.stream

    def _give_up(self, problem: str) -> None:
        if not self.broken:
            self.broken = True
            self.warn(f"--track {self.name}: {' '.join(problem.split())}; the runs go on without it")


class _Aside:
    """stdout, to which a tracker's thread writes nothing: what it prints goes to stderr, beside the result."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def _target(self) -> Any:
        tracker = threading.current_thread().name.startswith(f"{interruption.OURS}tracker")
        return sys.stderr if tracker else self.stream

    def write(self, text: str) -> int:
        """Write to the one or the other."""
        return int(self._target().write(text))

    def flush(self) -> None:
        """Flush the one or the other."""
        self._target().flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def tracked(console: Callback, name: str) -> Callback:
    """The console, and beside it the tracker of a name.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    return CallbackList([console, Detached(make_tracker(name), name, console.warning)])


def make_tracker(name: str) -> Callback:
    """The tracker of a name.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    return TensorBoardTracker() if name == "tensorboard" else RunTracker(name)


def figures(row: EpochRow) -> dict[str, float]:
    """The epoch's figures that were measured, by name."""
    return {name: value for name, value in row.model_dump().items() if name != "epoch" and value is not None}


def outcome(result: RunResult) -> dict[str, float]:
    """The accuracies and losses that a run ended with; none of a run that diverged or failed."""
    names = [name for name in RunResult.model_fields if name.endswith(("_accuracy", "_loss"))]
    return {name: value for name in names if (value := getattr(result, name)) is not None}
