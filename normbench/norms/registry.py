"""Registry: one frozen record per norm, from which lists, pages and modules are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Strict

from normbench.config.settings import Groups
from normbench.errors import UsageError
from normbench.norms.axes import Axes

if TYPE_CHECKING:
    from torch import nn


Epsilon = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
"""Added under the root of a statistic."""
Momentum = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
"""Share of the newest batch in the running statistics."""
WindowSize = Annotated[int, Strict(), Field(ge=1, le=511)]
Factor = Annotated[float, Strict(), Field(ge=0.0, le=1e6)]
Exponent = Annotated[float, Strict(), Field(ge=0.0, le=10.0)]
Offset = Annotated[float, Strict(), Field(gt=0.0, le=1e6)]


@dataclass(frozen=True)
class NormInfo:
    """The record of a norm: shown by `normbench norms`, relied on by the checks before a training."""

    name: str
    title: str
    formula: str
    axes: Axes | None
    """The axes that its statistics are taken over; None where they are not known."""
    batch_statistics: bool
    """True if an image's output depends on the other images of its batch while training."""
    train_eval_differ: bool
    when: str
    avoid: str
    """Case for another norm, with its source."""
    mistakes: tuple[str, ...]
    """Common mistakes with it, a sentence each."""
    paper: str
    build: Callable[..., "nn.Module"]
    """(channels, **arguments) -> module. Its keyword parameters are the arguments that a name can give; an argument
    called `groups` is the recipe's where the name does not give it."""
    statistic: str = "mean and variance"
    """The statistic over the axes."""
    adds_bias: bool = True
    """True if it has a shift, or leaves it out on purpose; if not, the weights before it get a bias (`networks`)."""
    revision: int = 1
    """Raised when runs with this norm compute something else than before: they are then other runs."""

    @property
    def axes_text(self) -> str:
        """The axes by their letters; "?" where they are not known."""
        return "?" if self.axes is None else str(self.axes)

    @property
    def axes_sentence(self) -> str:
        """The axes as a sentence."""
        return (
            "Only its own code says what it averages over." if self.axes is None else self.axes.sentence(self.statistic)
        )


def _batch_norm(channels: int, *, eps: Epsilon = 1e-5, momentum: Momentum = 0.1) -> "nn.Module":
    from torch import nn

    return nn.BatchNorm2d(channels, eps, momentum)


def _group_norm(channels: int, *, groups: Groups = 4, eps: Epsilon = 1e-5) -> "nn.Module":
    from torch import nn

    if channels % groups:
        fitting = [g for g in range(1, channels + 1) if channels % g == 0]
        raise UsageError(
            f"gn: {groups} groups do not divide {channels} channels",
            f"Groups that divide {channels}: {', '.join(map(str, fitting))}. Choose one with --groups, or in the name, "
            "as gn(groups=N).",
        )
    return nn.GroupNorm(groups, channels, eps)


def _layer_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from torch import nn

    return nn.GroupNorm(1, channels, eps)


def _instance_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from torch import nn

    return nn.InstanceNorm2d(channels, eps, affine=True)


def _local_response_norm(
    _channels: int, *, size: WindowSize = 5, alpha: Factor = 1e-4, beta: Exponent = 0.75, k: Offset = 1.0
) -> "nn.Module":
    from torch import nn

    return nn.LocalResponseNorm(size, alpha, beta, k)


def _layer_norm_chw(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import LazyPositionLayerNorm

    return LazyPositionLayerNorm(channels, eps)


def _layer_norm_c(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import ChannelLayerNorm

    return ChannelLayerNorm(channels, eps)


def _rms_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import RMSNorm

    return RMSNorm(channels, eps)


def _channel_rms_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import ChannelRMSNorm

    return ChannelRMSNorm(channels, eps)


def _scale_norm(channels: int, *, eps: Epsilon = 1e-5) -> "nn.Module":
    from normbench.norms.layers import ScaleNorm

    return ScaleNorm(channels, eps)


def _identity(_channels: int) -> "nn.Module":
    from torch import nn

    return nn.Identity()


_ENTRIES = (
    NormInfo(
        "bn", "Batch Normalization", "(x - mean_NHW) / sqrt(var_NHW + eps) * gamma_c + beta_c",
        Axes(images=True, positions=True),
        batch_statistics=True, train_eval_differ=True,
        when="Vision with batches of 16 or more per device; folds into the convolution for inference.",
        avoid="With few images in a batch: its error grows as batches shrink (arXiv:1803.08494).",
        mistakes=(
            "Leaving the network in train mode to evaluate it: an image then depends on the others of its batch.",
            "A bias in the convolution before it: the mean takes it out again (arXiv:1502.03167, section 3.2).",
            "One value a channel while training, as of one image of 1x1 pixels: torch raises.",
        ),
        paper="arXiv:1502.03167", build=_batch_norm,
    ),
    NormInfo(
        "gn", "Group Normalization", "(x - mean_gHW) / sqrt(var_gHW + eps) * gamma_c + beta_c",
        Axes(channels="group", count=4, positions=True), batch_statistics=False, train_eval_differ=False,
        when="Vision with small batches (detection, video), or where train and eval must agree.",
        avoid="With 32 images a device: on ImageNet BatchNorm was 0.5 points ahead there (arXiv:1803.08494, table 1).",
        mistakes=(
            "BatchNorm's learning rate: 0.08 cost gn 7 points against 0.04, in short runs (docs/learning-rates.md).",
            "Groups that do not divide the channels: refused, with those that do.",
            "A mean far above the standard deviation, in channels last on a CPU: see `normbench verify --norm gn`.",
        ),
        paper="arXiv:1803.08494", build=_group_norm,
    ),
    NormInfo(
        "ln", "Layer Normalization as GroupNorm(1)",
        "(x - mean_CHW) / sqrt(var_CHW + eps) * gamma_c + beta_c", Axes(channels="all", positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="Sequences and transformers; in convolutional networks when each sample must stand alone.",
        avoid="In convolutional networks: its own paper found BatchNorm ahead there (arXiv:1607.06450, section 6.7).",
        mistakes=(
            "BatchNorm's learning rate: 0.08 cost ln 10 points against 0.02, in short runs (docs/learning-rates.md).",
            "Taking it for ln-c, with statistics per position, or ln-chw, with parameters per position.",
            "A mean far above the standard deviation, in channels last on a CPU: see `normbench verify --norm ln`.",
        ),
        paper="arXiv:1607.06450", build=_layer_norm,
    ),
    NormInfo(
        "in", "Instance Normalization", "(x - mean_HW) / sqrt(var_HW + eps) * gamma_c + beta_c", Axes(positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="Style transfer and image-to-image translation, where each image's contrast is to be removed.",
        avoid="For classification: 28.4 % error on ImageNet where BatchNorm had 23.6 % (arXiv:1803.08494, table 1).",
        mistakes=("Maps of 1x1 pixels: there is nothing to standardize, and torch raises.",),
        paper="arXiv:1607.08022", build=_instance_norm,
    ),
    NormInfo(
        "lrn", "Local Response Normalization", "x / (k + alpha / size * sum_size(x^2))^beta",
        Axes(channels="window", count=5),
        batch_statistics=False, train_eval_differ=False,
        when="For networks of AlexNet's time. Alone it has torch's constants: on values around 1 it hardly does "
        "anything. "
        "The convolutions before it have the bias that a norm would add.",
        avoid="In deep networks: VGG found no gain in accuracy, and a cost in memory and time (arXiv:1409.1556).",
        mistakes=(
            "torch's constants on values around 1: the output is within 0.01 % of the input.",
            "Taking it for AlexNet's, with k = 2 and alpha not divided by the size: that is lrn(alpha=0.0005,k=2).",
        ),
        paper="Krizhevsky et al., NeurIPS 2012", build=_local_response_norm,
        statistic="sum of squares", adds_bias=False, revision=2,
    ),
    NormInfo(
        "ln-chw", "Layer Normalization with torch's LayerNorm([C, H, W])",
        "(x - mean_CHW) / sqrt(var_CHW + eps) * gamma_chw + beta_chw", Axes(channels="all", positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="To see what 2*C*H*W affine parameters a layer cost; fixes the image size.",
        avoid="Where parameters count: 196,608 affine ones in c10 (`normbench summary --norm ln-chw`).",
        mistakes=("Images of another size than those it was trained on: its parameters do not fit.",),
        paper="arXiv:1607.06450", build=_layer_norm_chw,
    ),
    NormInfo(
        "ln-c", "Layer Normalization over channels", "(x - mean_C) / sqrt(var_C + eps) * gamma_c + beta_c",
        Axes(channels="all"),
        batch_statistics=False, train_eval_differ=False,
        when="ConvNeXt-like networks; statistics per position, so the receptive field stays local.",
        avoid="In place of BatchNorm in a plain ResNet: ConvNeXt calls it suboptimal (arXiv:2201.03545, section 2.6).",
        mistakes=("nn.LayerNorm(C) on (N, C, H, W): that is over W: it raises, or where W = C it averages rows.",),
        paper="arXiv:2201.03545", build=_layer_norm_c,
    ),
    NormInfo(
        "rms", "Root Mean Square Normalization", "x / sqrt(mean_CHW(x^2) + eps) * gamma_c",
        Axes(channels="all", positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="Where LayerNorm is used and its re-centring is thought needless, as in language models.",
        avoid="Where a shift of the inputs must not matter: it leaves the mean in (arXiv:1910.07467, table 1).",
        mistakes=("nn.RMSNorm(C) on (N, C, H, W): that is over W: it raises, or where W = C it averages rows.",),
        paper="arXiv:1910.07467", build=_rms_norm, statistic="mean square",
    ),
    NormInfo(
        "rms-c", "Root Mean Square Normalization over channels", "x / sqrt(mean_C(x^2) + eps) * gamma_c",
        Axes(channels="all"), batch_statistics=False, train_eval_differ=False,
        when="Transformers and other networks of tokens: torch's RMSNorm(C) on the features of each token.",
        avoid="Where the scale of a position carries meaning: each position gets the same root mean square.",
        mistakes=("nn.RMSNorm(C) on (N, C, H, W): that is over W: it raises, or where W = C it averages rows.",),
        paper="arXiv:1910.07467", build=_channel_rms_norm, statistic="mean square",
    ),
    NormInfo(
        "scale", "ScaleNorm", "g * x / max(length_C(x), eps)", Axes(channels="all"),
        batch_statistics=False, train_eval_differ=False,
        when="Transformers: one learned number a layer in place of a scale and a shift for each channel. It begins as "
        "sqrt(C), so that the root mean square of each position begins as 1.",
        avoid="Where channels need scales of their own: it has a single one, and no shift.",
        mistakes=("Beginning with g = 1: each position then has length 1, and its values are 1 / sqrt(C) small.",),
        paper="arXiv:1910.05895", build=_scale_norm, statistic="length",
    ),
    NormInfo(
        "none", "No normalization", "x", Axes(), batch_statistics=False, train_eval_differ=False,
        when="The control: what the other norms are worth. The convolutions have the bias that a norm would add.",
        avoid="With a normalized network's learning rate: five times its own made Inception overflow "
        "(arXiv:1502.03167, section 4.2.2).",
        mistakes=(),
        paper="-", build=_identity,
        statistic="nothing", adds_bias=False, revision=2,
    ),
)  # fmt: skip

NORMS: dict[str, NormInfo] = {entry.name: entry for entry in _ENTRIES}

OTHER_NAMES = {
    "batch": "bn", "batchnorm": "bn", "batchnorm2d": "bn", "batchnormalization": "bn", "syncbn": "bn",
    "group": "gn", "groupnorm": "gn", "groupnormalization": "gn",
    "layer": "ln", "layernorm": "ln", "layernormalization": "ln", "layernorm2d": "ln-c", "groupnorm1": "ln",
    "lnchannels": "ln-c", "convnextln": "ln-c", "channelln": "ln-c", "layernormchw": "ln-chw",
    "instance": "in", "instancenorm": "in", "instancenorm2d": "in", "instancenormalization": "in",
    "localresponse": "lrn", "localresponsenorm": "lrn", "localresponsenormalization": "lrn",
    "rmsnorm": "rms", "rootmeansquare": "rms", "rmsnormchannels": "rms-c",
    "scalenorm": "scale", "identity": "none", "nonorm": "none", "no": "none",
}  # fmt: skip
"""Other names of the built-in norms, in small letters and digits alone: a hint for whoever types one."""
