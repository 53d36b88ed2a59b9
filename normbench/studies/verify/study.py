"""The study `verify`: norms against their definitions in float64."""

from typing import TYPE_CHECKING

from normbench.errors import RUN_FAILED
from normbench.studies.study import Study, StudyContext
from normbench.studies.verify.settings import VerifySettings, variant

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: VerifySettings, context: StudyContext) -> "StudyResult":  # noqa: ARG001
    """Check the norms that were chosen."""
    from normbench.studies.verify.measure import verify
    from normbench.studies.verify.tables import verify_result

    return verify_result(verify(settings), settings.seed, settings.cases)


def _exit_code(result: "StudyResult") -> int:
    return 0 if result.values["passed"] else RUN_FAILED


STUDY = Study(
    name="verify",
    question="Does every norm compute its definition?",
    help="""Check norms, weight standardization and dropout against float64 definitions: forward, gradients, buffers.

On seeded random inputs, on hard ones (constant, huge, tiny, offset, single values) and at the shapes of the
network's layers over several training steps, in float32 and float64, within bounds derived from the number of
roundings. Exit code 1 if an error is out of bounds.

A custom norm is checked against a NumPy function of yours: --norm file.py:factory --reference file.py:function""",
    settings=VerifySettings,
    run=run,
    flags=("out", "name"),
    variant=variant,
    exit_code=_exit_code,
)
