"""Common mistakes with norms, each made on purpose beside the right way."""

from normbench.studies.mistakes.catalog import MISTAKES, Mistake
from normbench.studies.mistakes.measure import find

__all__ = ["MISTAKES", "Mistake", "find"]
