"""The study `depth`: signal, gradient and training as layers are stacked, with and without a norm."""

from typing import TYPE_CHECKING

from normbench.studies.depth.settings import DepthSettings
from normbench.studies.study import FOLDER_FLAGS, Study, StudyContext

if TYPE_CHECKING:
    from normbench.analysis import StudyResult


def run(settings: DepthSettings, context: StudyContext) -> "StudyResult":
    """Measure every stack at initialization, and train stacks of several depths unless that is turned off."""
    from normbench.device import resolve_device
    from normbench.studies.depth.measure import measure_depth
    from normbench.studies.depth.tables import depth_result

    device = resolve_device(context.machine.device)
    images = settings.data  # checked without training, too
    data = None if settings.no_train else context.load_data(images)
    return depth_result(measure_depth(settings, device, data, context.note), device)


STUDY = Study(
    name="depth",
    question="What does depth do to signal, gradient and training, with and without a norm?",
    help="""Follow signal and gradient through stacks of up to 30 layers, then train stacks of several depths.

Each norm stands before (pre) and after (post) the weights of every layer, in a stack of linear layers (mlp) and in
one of 3x3 convolutions (conv); `none` is the control. Noise is sent through before any training. The short
trainings are on the digits, or on --dataset cifar10; each is tried at every --lr, and the validation images choose.""",
    settings=DepthSettings,
    run=run,
    flags=("data_dir", "offline", *FOLDER_FLAGS),
)
