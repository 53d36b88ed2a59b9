"""The callback of a plan: called from several threads, told how every run ends, and no failure of a run itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from normbench.config import RunConfig
from normbench.runs import Callback, RunResult
from normbench.training import EpochRow


class CallbackError(BaseException):
    """A callback failed. No `Exception`, since that would be taken for a failure of the run that it was told of.

    Args:
        error: What the callback raised.
    """

    def __init__(self, error: Exception | SystemExit) -> None:
        super().__init__(str(error))
        self.error = error


class PlanCallback:
    """Passes calls on to a callback, one at a time, and keeps account of the runs that have begun.

    Args:
        callback: It may be called from several threads; what it raises stops the plan as a `CallbackError`.
    """

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.lock = threading.RLock()
        self.under_way: dict[str, RunConfig] = {}
        self.finished: set[str] = set()
        self.warned: set[str] = set()

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Pass it on."""
        with self._turn():
            self.under_way[config.fingerprint] = config
            self.callback.run_started(config, folder, first_epoch)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Pass it on."""
        with self._turn():
            self.callback.epoch_done(config, row)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Pass it on, once for each run: a group that fails is tried again with those that had finished."""
        with self._turn():
            self.under_way.pop(config.fingerprint, None)
            if config.fingerprint not in self.finished:
                self.finished.add(config.fingerprint)
                self.callback.run_finished(config, result, already_done)

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Pass it on."""
        with self._turn():
            self.callback.run_waiting(config, holder)

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Pass it on for a run that had begun."""
        with self._turn():
            if self.under_way.pop(config.fingerprint, None) is not None:
                self.callback.run_failed(config, problem)

    def warning(self, message: str) -> None:
        """Pass it on, each once."""
        with self._turn():
            if message not in self.warned:
                self.warned.add(message)
                self.callback.warning(message)

    def close(self, problem: str) -> None:
        """Tell that the runs under way end here, without a result."""
        for config in list(self.under_way.values()):
            self.run_failed(config, problem)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self.lock:
            try:
                yield
            except (Exception, SystemExit) as error:  # SystemExit: nobody reads what the callback writes
                raise CallbackError(error) from error
