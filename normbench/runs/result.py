"""Result of a run, with its confusion matrix."""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from normbench.config.settings import Precision
from normbench.runs.schema import SCHEMA_VERSION

SCORES = (
    "train_accuracy", "train_loss", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss",
)  # fmt: skip
"""Scores of a run; only a run that is done has any."""


class RunResult(BaseModel):
    """The outcome of one run; accuracies are fractions at the last epoch, times seconds of training.

    `train_*` is taken in eval mode on the un-augmented training images, `test_*` on the test images, once.
    A run that diverged or failed has no accuracies, and says in `problem` what happened. A run of a
    search is scored on the validation split and leaves the test images unread.

    Every number is finite: this model is the one door through which results come, made here or read from a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
    tuned: bool | None = None
    """True if these two were found by a search for this norm; None if unknown."""
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
    """Part of `seconds` spent on capturing the step; None where it was not captured."""
    evaluation_seconds: float | None = None
    """Not in `seconds`: scoring the train and test images at the end."""
    split_seed: int = 0
    """Seed of the split into training and test images; 0 as published."""
    device: str
    torch: str
    precision: Precision | None = None
    """Precision of the run, `auto` resolved; None in results of earlier versions, where `auto` meant bf16 on CUDA,
    norm by norm as torch's autocast has it."""
    problem: str | None = None
    fingerprint: str
    model_sha256: str | None = None
    """Checksum of model.safetensors; None of a run without weights, or made by an earlier version."""
    folder: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _diverged_if_not_finite(cls, fields: Any) -> Any:
        """Take what earlier versions wrote as done with a loss of NaN for what it is."""
        if not isinstance(fields, dict) or fields.get("status") != "done":
            return fields
        broken = [name for name in SCORES if isinstance(fields.get(name), float) and not math.isfinite(fields[name])]
        if not broken:
            return fields
        problem = f"{' and '.join(broken).replace('_', ' ')} not finite: it diverged before it was scored"
        return fields | dict.fromkeys(SCORES) | {"status": "diverged", "problem": problem}

    @model_validator(mode="after")
    def _no_scores_unless_done(self) -> "RunResult":
        if self.status != "done" and any(getattr(self, name) is not None for name in SCORES):
            raise ValueError(f"a run that {self.status} has no scores")
        return self


class Confusion(BaseModel):
    """Decisions on the test images at the end of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """Images by true class (row) and decided class (column)."""

    @model_validator(mode="after")
    def _is_square(self) -> "Confusion":
        if any(len(line) != len(self.classes) for line in (self.counts, *self.counts)):
            raise ValueError("a row and a column for each class")
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError("a count is not negative")
        return self

    @property
    def accuracy(self) -> float:
        """Share of the images on the diagonal; 0.0 of no images."""
        images = sum(map(sum, self.counts))
        return sum(row[place] for place, row in enumerate(self.counts)) / images if images else 0.0
