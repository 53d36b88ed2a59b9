"""Runs small enough for a test: the network of the assignment with few channels, on a few digits."""

from typing import Any

from torch import Tensor

from normbench.config import DataConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import DataSet
from normbench.networks import build_for
from normbench.training import DivergedError, EpochRow, RunGroup, Training

WIDTHS = (4, 4, 4, 8, 8, 8, 4, 8, 8, 8)
TIMES = {"seconds", "images_per_second"}


def run_config(norm: str = "bn", seed: int = 0, dropout: float = 0.0, **training: Any) -> RunConfig:
    """A run on the digits, with any training settings; its activation is smooth, so that rounding stays rounding."""
    settings = {"batch_size": 32, "lr": 0.05, "epochs": 2} | training
    return RunConfig(
        norm=norm,
        seed=seed,
        network=NetworkConfig(widths=WIDTHS, dropout=dropout, activation="silu"),
        data=DataConfig(name="digits"),
        training=TrainingConfig(**settings),
    )


def start(config: RunConfig, data: DataSet, capturable: bool | None = None) -> Training:
    """The training of a run, before its first epoch."""
    return Training(config, build_for(config), data, capturable=capturable)


def train_epoch(training: Training, epoch: int) -> EpochRow:
    """Train a run alone for one epoch; raises where it diverges."""
    (outcome,) = RunGroup([training]).epoch(epoch)
    if isinstance(outcome, DivergedError):
        raise outcome
    return outcome


def timeless(row: EpochRow) -> dict[str, Any]:
    """A row without its times, which no two runs share."""
    return {name: value for name, value in row.model_dump().items() if name not in TIMES}


def weights(training: Training) -> dict[str, Tensor]:
    """A copy of every parameter and buffer."""
    return {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
