"""Where a network errs, and whether it is as sure as it is right."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from normbench.evaluation.score import refuse_non_finite

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Details:
    """A network's decisions on a split; accuracies and the calibration error are fractions."""

    accuracy: float
    per_class: dict[str, float | None]
    """Of the images of each class, the share that was recognised; None of a class without images."""
    confusion: tuple[tuple[int, ...], ...]
    """Images by true class (row) and decided class (column)."""
    calibration_error: float
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599)."""
    images: int


def details(scores: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Details:
    """Look into class scores (N, classes) of images whose labels (N,) are known; both on the CPU.

    Raises:
        NonFiniteError: A score is not finite.
    """
    refuse_non_finite(scores)
    decided, truth = scores.argmax(1).numpy(), labels.numpy()
    confusion = confusion_matrix(scores.argmax(1), labels, len(classes))
    confidence = torch.softmax(scores.double(), 1).amax(1).numpy()
    return Details(
        accuracy=int(confusion.trace()) / len(truth),
        per_class=dict(zip(classes, recognised(confusion), strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
        calibration_error=calibration_error(confidence, decided == truth),
        images=len(truth),
    )


def confusion_matrix(decided: Tensor, labels: Tensor, classes: int) -> np.ndarray:
    """Images by true class (row) and decided class (column), from (N,) each on the CPU; (classes, classes) int64."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels.numpy(), decided.numpy()), 1)
    return matrix


def recognised(confusion: np.ndarray) -> list[float | None]:
    """Of the images of each class, the share that was recognised; None of a class without images."""
    images = confusion.sum(axis=1).tolist()
    right = confusion.diagonal().tolist()
    return [hits / count if count else None for hits, count in zip(right, images, strict=True)]


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean over images of |accuracy - mean confidence| over the bin, (0, 1/15], (1/15, 2/15], ..., it is in."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
