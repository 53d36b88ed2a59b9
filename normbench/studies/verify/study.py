"""Study `verify`: norms against float64 definitions."""

from typing import TYPE_CHECKING

from normbench.errors import RUN_FAILED
from normbench.studies.study import Study, StudyContext
from normbench.studies.verify.settings import VerifySettings, variant

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: VerifySettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.verify.measure import measure
    from normbench.studies.verify.tables import study_result

    return study_result(measure(settings, context))


def exit_code(result: "StudyResult") -> int:
    """Return that of a failed run if a norm differs from its definition."""
    return 0 if result.values["passed"] else RUN_FAILED


STUDY = Study(
    name="verify",
    question="Does every norm compute its definition?",
    help="""Check every norm against its float64 definition.

Forward pass, gradients and buffers, also of weight standardization and dropout. Inputs are random, hard (constant,
huge, tiny, offset, single values), and of the shapes of the network's layers over several training steps, in float32
and float64. Bounds follow from the number of roundings. Exit code 1 if an error is out of bounds.

A custom norm is checked against your NumPy function: --norm file.py:factory --reference file.py:function""",
    settings=VerifySettings,
    run=run,
    flags=("out", "name"),
    variant=variant,
    exit_code=exit_code,
)
