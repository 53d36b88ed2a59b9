"""Callbacks: notifications of the progress of runs. The library prints nothing itself."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from normbench.config import RunConfig
from normbench.runs import RunResult
from normbench.training import EpochRow


class Callback:
    """Base of all callbacks; each method does nothing until a subclass overrides it.

    During `run_all` the methods are called from several threads, but never two at a time.
    """

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Handle the start of a run, or its continuation after a smaller group or a resume.

        Args:
            config: Settings of the run.
            folder: Its run folder.
            first_epoch: The next epoch, counted from 1; above 1 for a resumed run.
        """

    def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
        """Handle progress within an epoch, a few times a second.

        Args:
            config: Settings of the run.
            epoch: The epoch, from 1.
            step: Its last step that was done, or launched on a GPU, from 1.
            steps: Number of its steps.
        """

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Handle the end of an epoch, whose metrics are in metrics.jsonl already."""

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Handle the result of a run; `already_done` if an earlier command had produced it."""

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Handle a run that waits for the process which holds its lock."""

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Handle the end of a started run that has no result."""

    def warning(self, message: str) -> None:
        """Handle a message for the user about something that stops no run."""


class CallbackList(Callback):
    """Several callbacks as one, called in order."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = list(callbacks)

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.run_started(config, folder, first_epoch)

    def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.step_done(config, epoch, step, steps)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.epoch_done(config, row)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.run_finished(config, result, already_done)

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.run_waiting(config, holder)

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.run_failed(config, problem)

    def warning(self, message: str) -> None:
        """Forward to every callback."""
        for callback in self.callbacks:
            callback.warning(message)


class CallbackError(BaseException):
    """Failure of a callback; not an `Exception`, which would be taken for a failure of the run it was called for.

    Args:
        error: The exception that the callback raised.
    """

    def __init__(self, error: Exception | SystemExit) -> None:
        super().__init__(str(error))
        self.error = error


class PlanCallback(Callback):
    """Forward calls one at a time, each finished run and each warning once, and track the runs in progress.

    Args:
        callback: The callback to forward to; an exception that it raises stops the plan as a `CallbackError`.
    """

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.lock = threading.RLock()
        self.in_progress: dict[str, RunConfig] = {}
        self.finished: set[str] = set()
        self.warned: set[str] = set()

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Forward the call."""
        with self._exclusive():
            self.in_progress[config.fingerprint] = config
            self.callback.run_started(config, folder, first_epoch)

    def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
        """Forward the call."""
        with self._exclusive():
            self.callback.step_done(config, epoch, step, steps)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Forward the call."""
        with self._exclusive():
            self.callback.epoch_done(config, row)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Forward the call once per run: a group that fails is executed again with the runs that had finished."""
        with self._exclusive():
            self.in_progress.pop(config.fingerprint, None)
            if config.fingerprint not in self.finished:
                self.finished.add(config.fingerprint)
                self.callback.run_finished(config, result, already_done)

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Forward the call."""
        with self._exclusive():
            self.callback.run_waiting(config, holder)

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Forward the call for a run that had started."""
        with self._exclusive():
            if self.in_progress.pop(config.fingerprint, None) is not None:
                self.callback.run_failed(config, problem)

    def warning(self, message: str) -> None:
        """Forward each message once."""
        with self._exclusive():
            if message not in self.warned:
                self.warned.add(message)
                self.callback.warning(message)

    def close(self, problem: str) -> None:
        """Report the runs in progress as failed."""
        for config in list(self.in_progress.values()):
            self.run_failed(config, problem)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self.lock:
            try:
                yield
            except (Exception, SystemExit) as error:  # SystemExit: the reader of the callback's output is gone
                raise CallbackError(error) from error
