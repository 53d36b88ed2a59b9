"""Counts of predictions by class, without torch."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def confusion_matrix(predictions: "Tensor", labels: "Tensor", classes: int) -> np.ndarray:
    """Count images by true class (row) and predicted class (column), from (N,) each on the CPU.

    Returns:
        Counts (classes, classes) int64.
    """
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels.numpy(), predictions.numpy()), 1)
    return matrix


def recall_per_class(confusion: np.ndarray) -> list[float | None]:
    """Return the recall of each class (a fraction); None for a class without images."""
    images = confusion.sum(axis=1).tolist()
    correct = confusion.diagonal().tolist()
    return [hits / count if count else None for hits, count in zip(correct, images, strict=True)]
