"""The commands as Python functions: nothing is printed, results are returned, problems are raised."""

from normbench.api.comparison import ComparisonResult, compare
from normbench.api.models import load, norm, register_norm, summary
from normbench.api.replacement import Swapped, swap
from normbench.api.studies import study, verify
from normbench.api.training import train
from normbench.api.tuning import TuningResult, tune

__all__ = [
    "ComparisonResult",
    "Swapped",
    "TuningResult",
    "compare",
    "load",
    "norm",
    "register_norm",
    "study",
    "summary",
    "swap",
    "train",
    "tune",
    "verify",
]
