"""Metrics of one epoch."""

from pydantic import BaseModel, ConfigDict


class EpochRow(BaseModel):
    """Metrics of one epoch; losses in nats, accuracies as fractions, times in seconds.

    `train_running_*` are averages over the epoch's own augmented batches while the weights move: not the train
    accuracy of the result, which is taken in eval mode on plain images.
    """

    model_config = ConfigDict(frozen=True)

    epoch: int
    lr: float
    train_running_loss: float
    train_running_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    images_per_second: float
