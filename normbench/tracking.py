"""Live views of runs: TensorBoard's event files, or the three calls that wandb and trackio share.

A tracker listens beside the console; it gets what `metrics.jsonl` and `result.json` get, and changes nothing.
"""

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from normbench.config import RunConfig
from normbench.errors import UsageError, unknown
from normbench.runs import Listener, RunResult, flat
from normbench.training import EpochRow

THREE_CALLS = ("trackio", "wandb")
TRACKERS = ("tensorboard", *THREE_CALLS)


class Several:
    """Tells several listeners what one is told."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.run_started(config, folder, first_epoch)

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.epoch_done(config, row)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.run_finished(config, result, already_done)

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.run_waiting(config, holder)

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.run_failed(config, problem)

    def warning(self, message: str) -> None:
        """Pass it on."""
        for listener in self.listeners:
            listener.warning(message)


class TensorBoardTracker:
    """Writes an event file into every run folder; `tensorboard --logdir runs` shows them side by side."""

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError("--track tensorboard needs tensorboard", "pip install 'normbench[tensorboard]'") from error
        self.make = SummaryWriter
        self.writers: dict[str, Any] = {}
        """Of the runs that are under way, by fingerprint."""

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Open the run's event file; what a resumed run had written after its last state is hidden."""
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

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Has no place there."""

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Close it."""

    def warning(self, message: str) -> None:
        """Has no place in an event file."""


class ThreeCallTracker:
    """`init`, `log`, `finish`: what wandb and trackio have in common; they know one run at a time."""

    def __init__(self, name: str) -> None:
        try:
            self.module = importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"--track {name} needs {name}", f"pip install {name}") from error
        self.open = False

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Begin a run of the project `normbench`, named as its folder, with every setting."""
        self.module.init(project="normbench", name=folder.name, config=flat(config.model_dump(mode="json")))
        self.open = True

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Log the epoch's figures."""
        self.module.log(figures(row), step=row.epoch)

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """Log train and test accuracy and end the run."""
        if self.open:
            self.module.log(outcome(result), step=result.epochs)
            self.module.finish()
            self.open = False

    def run_waiting(self, config: RunConfig, holder: str) -> None:
        """Has no place there."""

    def run_failed(self, config: RunConfig, problem: str) -> None:
        """Close it."""

    def warning(self, message: str) -> None:
        """Has no place there."""


def make_tracker(name: str) -> Listener:
    """The tracker of a name.

    Raises:
        UsageError: There is none of that name, or its package is not installed.
    """
    if name not in TRACKERS:
        raise unknown("tracker", name, TRACKERS)
    return TensorBoardTracker() if name == "tensorboard" else ThreeCallTracker(name)


def figures(row: EpochRow) -> dict[str, float]:
    """The epoch's figures that were measured, by name."""
    return {name: value for name, value in dataclasses.asdict(row).items() if name != "epoch" and value is not None}


def outcome(result: RunResult) -> dict[str, float]:
    """The accuracies and losses that a run ended with; none of a run that diverged or failed."""
    names = [name for name in RunResult.model_fields if name.endswith(("_accuracy", "_loss"))]
    return {name: value for name in names if (value := getattr(result, name)) is not None}
