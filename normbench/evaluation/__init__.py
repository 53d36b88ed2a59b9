"""Scoring a network on images: loss and accuracy, and where it errs and how sure it is of itself."""

from normbench.evaluation.details import Details, details
from normbench.evaluation.score import Score, class_scores, evaluate

__all__ = ["Details", "Score", "class_scores", "details", "evaluate"]
