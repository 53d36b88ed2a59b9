"""Study `depth`: signal, gradient and training by depth."""

from typing import TYPE_CHECKING

from normbench.studies.depth.settings import DepthSettings
from normbench.studies.study import FOLDER_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: DepthSettings, context: StudyContext) -> "StudyResult":
    """Measure, and lay out the result."""
    if settings.source:
        from normbench.studies.depth.demonstration import demonstration_result

        return demonstration_result(settings)
    from normbench.studies.depth.measure import measure
    from normbench.studies.depth.tables import study_result

    return study_result(measure(settings, context))


STUDY = Study(
    name="depth",
    question="What does depth do to signal, gradient and training, with and without a norm?",
    help="""Follow signal and gradient through deep stacks, and train them.

Each norm is placed before (pre) and after (post) the weights of every layer, in a stack of linear layers (mlp) and in
one of 3x3 convolutions (conv); `none` is the control. Signal and gradient are measured on noise, before any training.
The short trainings use the digits, or --dataset cifar10, and try every --lr; validation images choose among them.

--source repeats the source material's own demonstration (784 - 512 x n - 100, batch of 5) beside its figures.""",
    settings=DepthSettings,
    run=run,
    variant=lambda settings: "source" if settings.source else "",
    flags=("data_dir", "offline", *FOLDER_FLAGS),
)
