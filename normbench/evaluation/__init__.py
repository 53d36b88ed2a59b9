"""Scoring a network on images: loss and accuracy, and where it errs and how sure it is of itself."""

from normbench.evaluation.batch_statistics import accuracy_of_batches, has_batch_statistics, recompute_statistics
from normbench.evaluation.details import Details, confusion_matrix, details, recognised
from normbench.evaluation.score import NonFiniteError, Score, class_scores, evaluate, evaluate_with_decisions

__all__ = [
    "Details",
    "NonFiniteError",
    "Score",
    "accuracy_of_batches",
    "class_scores",
    "confusion_matrix",
    "details",
    "evaluate",
    "evaluate_with_decisions",
    "has_batch_statistics",
    "recognised",
    "recompute_statistics",
]
