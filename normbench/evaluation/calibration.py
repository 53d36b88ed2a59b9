"""Calibration error, with confusion matrix and recalls."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from normbench.evaluation.confusion import confusion_matrix, recall_per_class
from normbench.evaluation.score import refuse_non_finite

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Details:
    """Predictions of a network on a split; accuracies and the calibration error are fractions."""

    accuracy: float
    per_class: dict[str, float | None]
    """Recall of each class (a fraction); None for a class without images."""
    confusion: tuple[tuple[int, ...], ...]
    """Images by true class (row) and predicted class (column)."""
    calibration_error: float
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599)."""
    images: int


def details(logits: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Details:
    """Analyse the logits (N, classes) of images with known labels (N,), both on the CPU.

    Raises:
        NonFiniteError: A logit is not finite.
    """
    refuse_non_finite(logits)
    predictions, truth = logits.argmax(1).numpy(), labels.numpy()
    confusion = confusion_matrix(logits.argmax(1), labels, len(classes))
    confidence = torch.softmax(logits.double(), 1).amax(1).numpy()
    return Details(
        accuracy=int(confusion.trace()) / len(truth),
        per_class=dict(zip(classes, recall_per_class(confusion), strict=True)),
        confusion=tuple(map(tuple, confusion.tolist())),
        calibration_error=calibration_error(confidence, predictions == truth),
        images=len(truth),
    )


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Compute the expected calibration error over the bins (0, 1/15], (1/15, 2/15], ..., (14/15, 1].

    Args:
        confidence: Probability (N,) of the predicted class.
        correct: Predictions that are right, (N,) bool.

    Returns:
        Mean over images of |accuracy - mean confidence| of their bin, a fraction (arXiv:1706.04599, equation 3).
    """
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))
