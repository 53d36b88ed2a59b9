"""Verification: whether every norm is what its definition says, to the precision that it computes in."""

from normbench.studies.verify.builtin import subjects, verify_registered
from normbench.studies.verify.cases import draw_cases
from normbench.studies.verify.checks import Verified
from normbench.studies.verify.custom import verify_own
from normbench.studies.verify.tables import finding

__all__ = ["Verified", "draw_cases", "finding", "subjects", "verify_own", "verify_registered"]
