"""A callback that records its calls."""

from pathlib import Path

from normbench.config import RunConfig
from normbench.engine import Callback
from normbench.runs import RunResult
from normbench.training import EpochRow


class Recorder(Callback):
    """Keeps every call as a tuple: the event, norm and seed of the run, and one detail."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        self.events.append(("started", config.norm, config.seed, first_epoch))

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        self.events.append(("epoch", config.norm, config.seed, row.epoch))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        self.events.append(("finished", config.norm, config.seed, result.status))

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        self.events.append(("waiting", config.norm, config.seed, holder))

    def run_failed(self, config: RunConfig, problem: str) -> None:
        self.events.append(("failed", config.norm, config.seed, problem))

    def warning(self, message: str) -> None:
        self.events.append(("warning", message))
