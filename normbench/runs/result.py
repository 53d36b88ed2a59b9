"""What a run ends with, and what it tells while it is under way."""

from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from normbench.config import RunConfig
from normbench.training import EpochRow

SCHEMA_VERSION = 1


class RunResult(BaseModel):
    """The outcome of one run; accuracies are fractions at the last epoch, times seconds of training.

    `train_*` is taken in eval mode on the un-augmented training images, `test_*` on the test images, once.
    A run that diverged or failed has no accuracies, and says in `problem` what happened. A run of a
    search is scored on the validation split and leaves the test images unread.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    status: Literal["done", "diverged", "failed"]
    norm: str
    seed: int
    dataset: str
    network: str
    parameters: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    train_accuracy: float | None = None
    train_loss: float | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    train_images: int
    test_images: int
    seconds: float
    images_per_second: float | None = None
    side_by_side: int = 1
    """Runs that the device trained at once: the seconds are those of all of them together."""
    capture_seconds: float | None = None
    """Of `seconds`: what recording the step took; None where it was not captured."""
    evaluation_seconds: float | None = None
    """Not in `seconds`: scoring the train and test images at the end."""
    device: str
    torch: str
    problem: str | None = None
    fingerprint: str
    folder: str | None = None


class Listener(Protocol):
    """Who is told how runs go on; the console implements it, the library only calls it."""

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """A run begins, or goes on, with `first_epoch` (1 unless it is resumed)."""

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """An epoch of the run is finished."""

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:
        """The run has a result; `already_done` if it had one before."""

    def warning(self, message: str) -> None:
        """Something the user should know that stops nothing."""
