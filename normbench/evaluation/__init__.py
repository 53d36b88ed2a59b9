"""Evaluation of a network on images: loss, accuracy, confusion matrix, calibration, batch statistics."""

from normbench.evaluation.batch_statistics import (
    accuracy_with_batch_statistics,
    has_batch_statistics,
    recompute_statistics,
)
from normbench.evaluation.details import Details, confusion_matrix, details, recall_per_class
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
