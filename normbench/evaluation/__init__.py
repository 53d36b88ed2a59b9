"""Evaluation of a network on images: loss, accuracy, confusion matrix, calibration, batch statistics."""

from typing import TYPE_CHECKING

from normbench.evaluation.confusion import confusion_matrix, recall_per_class
from normbench.lazy import lazy_names

if TYPE_CHECKING:
    from normbench.evaluation.batch_statistics import (
        accuracy_with_batch_statistics,
        has_batch_statistics,
        recompute_statistics,
    )
    from normbench.evaluation.calibration import Details, details
    from normbench.evaluation.score import NonFiniteError, Score, evaluate, evaluate_with_predictions, predict_logits

__all__ = [
    "Details",
    "NonFiniteError",
    "Score",
    "accuracy_with_batch_statistics",
    "confusion_matrix",
    "details",
    "evaluate",
    "evaluate_with_predictions",
    "has_batch_statistics",
    "predict_logits",
    "recall_per_class",
    "recompute_statistics",
]

__getattr__ = lazy_names(
    __name__,
    {
        "batch_statistics": ("accuracy_with_batch_statistics", "has_batch_statistics", "recompute_statistics"),
        "calibration": ("Details", "details"),
        "score": ("NonFiniteError", "Score", "evaluate", "evaluate_with_predictions", "predict_logits"),
    },
)
