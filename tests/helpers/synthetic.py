"""Run folders that no training made: as many as a test wants, in a second."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from normbench.config import DataConfig, RunConfig, TrainingConfig
from normbench.runs import Confusion, RunFolder, RunResult
from normbench.training import EpochRow

EPOCHS = 3
IMAGES = 360


def make_experiment(out: Path, norms: Sequence[str], seeds: int, experiment: str = "many") -> Path:
    """An experiment of finished runs on the digits; accuracies scatter about one that differs by norm."""
    rng = np.random.default_rng(0)
    for index, norm in enumerate(norms):
        for seed in range(seeds):
            right = int(rng.normal(250 + 5 * index, 6))
            make_run(out, norm, seed, right / IMAGES, experiment, counts=_counts(right, rng))
    return out / experiment


def make_run(out: Path, norm: str, seed: int, accuracy: float | None, experiment: str = "many", **other: Any) -> Path:
    """One run folder; no accuracy makes a run that diverged, no `counts` one that kept no confusions."""
    lr = float(other.get("lr", 0.1))
    config = RunConfig(
        norm=norm, seed=seed, data=DataConfig(name="digits"), training=TrainingConfig(epochs=EPOCHS, lr=lr)
    )
    folder = RunFolder(out, experiment, config)
    folder.path.mkdir(parents=True)
    folder.start({"python": "3", "argv": ["normbench", "compare", "--norms", norm]})
    scores = {} if accuracy is None else dict.fromkeys(("train_accuracy", "test_accuracy"), accuracy)
    losses = {} if accuracy is None else dict.fromkeys(("train_loss", "test_loss"), 1.0)
    for epoch in range(1, EPOCHS + 1):
        row = EpochRow(
            epoch=epoch,
            lr=lr,
            train_running_loss=2.0 / epoch,
            train_running_accuracy=0.2 * epoch,
            validation_loss=None,
            validation_accuracy=None,
            seconds=1.0,
            images_per_second=100.0,
        )
        folder.append(row)
    if counts := other.get("counts"):
        folder.save_confusion(Confusion(classes=tuple("0123456789"), counts=counts))
    folder.finish(
        RunResult(
            status="diverged" if accuracy is None else "done", norm=norm, seed=seed, dataset="digits", network="c10",
            parameters=1000, epochs=EPOCHS, batch_size=config.training.batch_size, lr=lr,
            weight_decay=config.training.weight_decay, train_images=1000, test_images=IMAGES, seconds=3.0,
            device="cpu", torch="2", fingerprint=config.fingerprint,
            problem="the weights are no longer finite" if accuracy is None else None, **scores, **losses,
        )
    )  # fmt: skip
    return folder.path


def _counts(right: int, rng: np.random.Generator) -> list[list[int]]:
    """A matrix of 360 decisions of which so many are right."""
    matrix = np.zeros((10, 10), dtype=int)
    for image in range(IMAGES):
        truth = image % 10
        decided = truth if image < right else (truth + 1 + int(rng.integers(9))) % 10
        matrix[truth, decided] += 1
    return matrix.tolist()
