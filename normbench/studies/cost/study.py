"""Study `cost`: time and memory of norms."""

from typing import TYPE_CHECKING

from normbench.studies.cost.settings import CostSettings
from normbench.studies.study import FOLDER_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: CostSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.cost.measure import measure
    from normbench.studies.cost.tables import study_result

    return study_result(measure(settings, context))


STUDY = Study(
    name="cost",
    question="What does a norm cost in time and memory?",
    help="""Time every norm: its layers alone, and a whole training step.

The shapes are those of the real network. Measures every built-in norm, or those of --norms, in turns; steps are
compared with those of `none`. Reports as well the memory kept for the backward pass, parameters and buffers, and any
difference between train and eval mode.""",
    settings=CostSettings,
    run=run,
    flags=("config", "set", "network", "groups", "batch_size", *FOLDER_FLAGS),
)
