"""Study `mistakes`: common mistakes, with their cost."""

from typing import TYPE_CHECKING

from normbench.studies.mistakes.settings import MistakesSettings
from normbench.studies.study import DATA_FLAGS, FOLDER_FLAGS, RECIPE_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: MistakesSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    from normbench.studies.mistakes.measure import measure
    from normbench.studies.mistakes.tables import study_result

    return study_result(measure(settings, context))


STUDY = Study(
    name="mistakes",
    question="What do common mistakes with norms cost?",
    help="""Make common mistakes on purpose, each beside the right way.

Prints what each costs. Takes a minute or two on the embedded digits (recipe `mistakes`); --dataset cifar10 --subset
2000 uses real images. A mistake whose cost is not separated from zero is reported as such.""",
    settings=MistakesSettings,
    run=run,
    recipe="mistakes",
    flags=("seeds", *(flag for flag in RECIPE_FLAGS if flag != "network"), *DATA_FLAGS, *FOLDER_FLAGS, "jobs"),
)
