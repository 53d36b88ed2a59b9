"""Verification: whether every norm is what its definition says, to the precision that it computes in."""

from normbench.studies.verify.cases import draw_cases
from normbench.studies.verify.found import finding
from normbench.studies.verify.own import verify_own
from normbench.studies.verify.registered import subjects, verify_registered
from normbench.studies.verify.verdict import Verified

__all__ = ["Verified", "draw_cases", "finding", "subjects", "verify_own", "verify_registered"]
