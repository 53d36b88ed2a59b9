"""`normbench depth`: what depth does to signal, gradient and training, with and without a norm."""

from typing import TYPE_CHECKING, Any

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options

if TYPE_CHECKING:
    import torch

    from normbench.config import DataConfig
    from normbench.data import DataSet

OWN = ("groups", "width", "depth", "activation", "init", "seed", "seeds", "epochs")


@flags(
    "norms", "all", "every", "groups", "width", "depth", "activation", "init", "seed", "seeds", "epochs", "lr",
    "no_train", "dataset", "subset", "data_dir", "offline", "device", "out", "name", *OUTPUT,
)  # fmt: skip
def command(given: Options) -> None:
    """Follow signal and gradient through stacks of up to 30 layers, then train stacks of several depths.

    Each norm stands before (pre) and after (post) the weights of every layer, in a stack of linear layers (mlp) and in
    one of 3x3 convolutions (conv); `none` is the control. Noise is sent through before any training. The short
    trainings are on the digits, or on --dataset cifar10; each is tried at every --lr, and the validation images choose.
    """
    from normbench.cli.study import conclude
    from normbench.config.recipes import COMMAND_LINE
    from normbench.config.validation import validated
    from normbench.device import resolve_device
    from normbench.studies.depth import DepthConfig, data_settings, depth_finding, measure_depth

    config = validated(DepthConfig, _settings(given), COMMAND_LINE)
    device = resolve_device(given.machine().device)
    settings = data_settings(given["dataset"] or "digits", given["subset"])  # checked without a training, too
    data = None if given["no_train"] else _data(given, settings, device)
    conclude(given, depth_finding(measure_depth(config, device, data, given.output().note), device))


def _settings(given: Options) -> dict[str, Any]:
    settings = {name: given[name] for name in OWN if given[name] is not None}
    if norms := given.norms():
        settings["norms"] = norms
    if lrs := given.numbers("lr"):
        settings["lrs"] = lrs
    return settings


def _data(given: Options, settings: "DataConfig", device: "torch.device") -> "DataSet":
    """The images to train on; CIFAR-10 is downloaded if it is nowhere to be found."""
    from normbench import data
    from normbench.console import ProgressCallback

    output, machine = given.output(), given.machine()
    with ProgressCallback(output) as progress:
        choice = data.settle(settings, machine, progress.on_download)
        if choice.reason:
            output.warning(choice.reason)
        return data.load(choice.config, machine, device, progress.on_download)
