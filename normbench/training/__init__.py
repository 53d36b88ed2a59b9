"""The training loop: SGD with a schedule, one epoch at a time."""

from normbench.training.loop import DivergedError, EpochRow, Training

__all__ = ["DivergedError", "EpochRow", "Training"]
