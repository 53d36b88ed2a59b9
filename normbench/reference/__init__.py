"""Norms as float64 definitions in NumPy. Forward and backward, readable as the formulas of the papers.

`norms` and `averages` are the text book; `definitions` gives it one shape, so that it can be checked against modules.
"""

from normbench.reference.definitions import (
    Definition,
    Gradients,
    Parameters,
    definition,
    dropout,
    has_definition,
    normalized_convolution,
    standardized_convolution,
)
from normbench.reference.standardize import Array

__all__ = [
    "Array",
    "Definition",
    "Gradients",
    "Parameters",
    "definition",
    "dropout",
    "has_definition",
    "normalized_convolution",
    "standardized_convolution",
]
