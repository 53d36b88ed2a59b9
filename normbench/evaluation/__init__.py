"""Scoring a network on images: loss and accuracy, and where it errs and how sure it is of itself."""

from normbench.evaluation.details import Details, details
from normbench.evaluation.score import Score, class_scores, evaluate
from normbench.evaluation.statistics import accuracy_of_batches, has_batch_statistics, recompute_statistics

__all__ = [
    "Details",
    "Score",
    "accuracy_of_batches",
    "class_scores",
    "details",
    "evaluate",
    "has_batch_statistics",
    "recompute_statistics",
]
