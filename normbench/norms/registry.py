"""Registry: one frozen record per norm. Lists, pages and modules are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, Strict

from normbench.config.settings import Groups, Switch
from normbench.errors import UsageError
from normbench.norms.axes import Axes

if TYPE_CHECKING:
    from torch import nn


Epsilon = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
"""Added under the root of a statistic."""
Momentum = Annotated[float, Strict(), Field(gt=0.0, le=1.0)]
"""Share of the newest batch in the running statistics."""
WindowSize = Annotated[int, Strict(), Field(ge=1, le=511)]
GhostSize = Annotated[int, Strict(), Field(ge=1, le=8192)]
"""Images of a ghost batch."""
Steepness = Annotated[float, Strict(), Field(ge=-1e3, le=1e3)]
Bound = Annotated[float, Strict(), Field(ge=1.0, le=1e3)]
Steps = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]
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
    further: tuple[tuple[str, Axes], ...] = ()
    """Statistics over other axes, each with its name."""
    omits_single_values: bool = False
    """True if it does without a statistic that is of single values, instead of having no meaning there."""
    adds_bias: bool = True
    """True if it has a shift, or leaves it out on purpose; if not, the weights before it get a bias (`networks`)."""
    activates: bool = False
    """True if it brings an activation, in place of that of a block (`networks`); an argument `activation` leaves it
    out."""
    torch: tuple[tuple[str, str], ...] = ()
    """Modules of torch that compute it, each with the shapes of its inputs; empty if there is none."""
    revision: int = 1
    """Raised when runs with this norm compute something else than before: they are then other runs."""

    @property
    def statistics(self) -> tuple[tuple[str, Axes], ...]:
        """Every statistic with its axes; none where they are not known."""
        return () if self.axes is None else ((self.statistic, self.axes), *self.further)

    def single_value_statistic(self, channels: int) -> tuple[str, Axes] | None:
        """The statistic for which it has no meaning on vectors (N, C, 1, 1), since it is of single values there."""
        single = (entry for entry in self.statistics if entry[1].is_single_value(channels))
        return None if self.omits_single_values else next(single, None)

    @property
    def axes_text(self) -> str:
        """The axes of every statistic by their letters; "?" where they are not known."""
        return "; ".join(str(axes) for _, axes in self.statistics) or "?"

    @property
    def is_centred(self) -> bool:
        """True if it subtracts a mean; others, as RMSNorm, only divide."""
        return self.statistic in ("mean", "mean and variance")

    @property
    def axes_sentence(self) -> str:
        """The axes as a sentence per statistic."""
        sentences = [axes.sentence(name) for name, axes in self.statistics]
        return " ".join(sentences) or "Only its own code says what it averages over."


def _batch_norm(channels: int, *, eps: Epsilon = 1e-5, momentum: Momentum = 0.1) -> "nn.Module":
    from torch import nn

    return nn.BatchNorm2d(channels, eps, momentum)


def _group_norm(channels: int, *, groups: Groups = 4, eps: Epsilon = 1e-5) -> "nn.Module":
    from torch import nn

    _check_groups("gn", channels, groups)
    return nn.GroupNorm(groups, channels, eps)


def _check_groups(norm: str, channels: int, groups: int) -> None:
    if channels % groups:
        fitting = [g for g in range(1, channels + 1) if channels % g == 0]
        raise UsageError(
            f"{norm}: {groups} groups do not divide {channels} channels",
            f"Groups that divide {channels}: {', '.join(map(str, fitting))}. Choose one with --groups, or in the name, "
            f"as {norm}(groups=N).",
        )


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


def _dynamic_tanh(channels: int, *, alpha: Steepness = 0.5) -> "nn.Module":
    from normbench.norms.layers import DynamicTanh

    return DynamicTanh(channels, alpha)


def _dynamic_erf(channels: int, *, alpha: Steepness = 0.5, shift: Steepness = 0.0) -> "nn.Module":
    from normbench.norms.layers import DynamicErf

    return DynamicErf(channels, alpha, shift)


def _filter_response_norm(channels: int, *, eps: Epsilon = 1e-6, activation: Switch = True) -> "nn.Module":
    from normbench.norms.layers import FilterResponseNorm

    return FilterResponseNorm(channels, eps, activation)


def _evonorm_s0(channels: int, *, groups: Groups = 4, eps: Epsilon = 1e-5, activation: Switch = True) -> "nn.Module":
    from normbench.norms.layers import EvoNormS0

    _check_groups("evonorm-s0", channels, groups)
    return EvoNormS0(channels, groups, eps, activation)


def _batch_renorm(
    channels: int,
    *,
    r_max: Bound = 3.0,
    d_max: Factor = 5.0,
    warmup: Steps = 500,
    eps: Epsilon = 1e-5,
    momentum: Momentum = 0.1,
) -> "nn.Module":
    from normbench.norms.layers import BatchRenorm

    return BatchRenorm(channels, r_max=r_max, d_max=d_max, warmup=warmup, eps=eps, momentum=momentum)


def _ghost_batch_norm(
    channels: int, *, size: GhostSize = 16, eps: Epsilon = 1e-5, momentum: Momentum = 0.1
) -> "nn.Module":
    from normbench.norms.layers import GhostBatchNorm

    return GhostBatchNorm(channels, size, eps, momentum)


def _extended_batch_norm(channels: int, *, eps: Epsilon = 1e-5, momentum: Momentum = 0.1) -> "nn.Module":
    from normbench.norms.layers import ExtendedBatchNorm

    return ExtendedBatchNorm(channels, eps, momentum)


def _switchable_norm(channels: int, *, eps: Epsilon = 1e-5, momentum: Momentum = 0.1) -> "nn.Module":
    from normbench.norms.layers import SwitchableNorm

    return SwitchableNorm(channels, eps, momentum)


def _batch_instance_norm(channels: int, *, eps: Epsilon = 1e-5, momentum: Momentum = 0.1) -> "nn.Module":
    from normbench.norms.layers import BatchInstanceNorm

    return BatchInstanceNorm(channels, eps, momentum)


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
        torch=(("nn.BatchNorm1d(C)", "(N, C) or (N, C, L)"), ("nn.BatchNorm2d(C)", "(N, C, H, W)"),
               ("nn.BatchNorm3d(C)", "(N, C, D, H, W)")),
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
        torch=(("nn.GroupNorm(groups, C)", "(N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W)"),),
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
        torch=(("nn.GroupNorm(1, C)", "(N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W)"),),
    ),
    NormInfo(
        "in", "Instance Normalization", "(x - mean_HW) / sqrt(var_HW + eps) * gamma_c + beta_c", Axes(positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="Style transfer and image-to-image translation, where each image's contrast is to be removed.",
        avoid="For classification: 28.4 % error on ImageNet where BatchNorm had 23.6 % (arXiv:1803.08494, table 1).",
        mistakes=("Maps of 1x1 pixels: there is nothing to standardize, and torch raises.",),
        paper="arXiv:1607.08022", build=_instance_norm,
        torch=(("nn.InstanceNorm1d(C, affine=True)", "(N, C, L)"),
               ("nn.InstanceNorm2d(C, affine=True)", "(N, C, H, W)"),
               ("nn.InstanceNorm3d(C, affine=True)", "(N, C, D, H, W)")),
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
        torch=(("nn.LocalResponseNorm(5)", "(N, C, L), (N, C, H, W) or (N, C, D, H, W)"),),
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
        torch=(("nn.LayerNorm([C, L])", "(N, C, L)"), ("nn.LayerNorm([C, H, W])", "(N, C, H, W)"),
               ("nn.LayerNorm([C, D, H, W])", "(N, C, D, H, W)")),
    ),
    NormInfo(
        "ln-c", "Layer Normalization over channels", "(x - mean_C) / sqrt(var_C + eps) * gamma_c + beta_c",
        Axes(channels="all"),
        batch_statistics=False, train_eval_differ=False,
        when="ConvNeXt-like networks; statistics per position, so the receptive field stays local.",
        avoid="In place of BatchNorm in a plain ResNet: ConvNeXt calls it suboptimal (arXiv:2201.03545, section 2.6).",
        mistakes=("nn.LayerNorm(C) on (N, C, H, W): that is over W: it raises, or where W = C it averages rows.",),
        paper="arXiv:2201.03545", build=_layer_norm_c,
        torch=(("nn.LayerNorm(C)", "(N, C), (N, L, C) or (N, H, W, C)"),),
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
        avoid="Where a shift of the inputs must not matter: it leaves the mean in (arXiv:1910.07467, table 1).",
        mistakes=("nn.RMSNorm(C) on (N, C, H, W): that is over W: it raises, or where W = C it averages rows.",),
        paper="arXiv:1910.07467", build=_channel_rms_norm,
        torch=(("nn.RMSNorm(C, eps=1e-5)", "(N, C), (N, L, C) or (N, H, W, C)"),), statistic="mean square",
    ),
    NormInfo(
        "scale", "ScaleNorm", "g * x / max(length_C(x), eps)", Axes(channels="all"),
        batch_statistics=False, train_eval_differ=False,
        when="Transformers: one learned number a layer in place of a scale and a shift for each channel. It begins as "
        "sqrt(C), so that the root mean square of each position begins as 1.",
        avoid="Where channels need scales of their own: it has a single one, and no shift (arXiv:1910.05895).",
        mistakes=("Beginning with g = 1: each position then has length 1, and its values are 1 / sqrt(C) small.",),
        paper="arXiv:1910.05895", build=_scale_norm, statistic="length",
    ),
    NormInfo(
        "dyt", "Dynamic Tanh", "tanh(alpha * x) * gamma_c + beta_c", Axes(),
        batch_statistics=False, train_eval_differ=False,
        when="Transformers, in place of LayerNorm or RMSNorm: no statistics, a learned steepness for the whole layer.",
        avoid="In place of BatchNorm: ResNet-50 fell from 76.2 % to 68.9 % on ImageNet (arXiv:2503.10622, table 16).",
        mistakes=("Values far above 1 / alpha: tanh is flat there, and passes next to no gradient.",),
        paper="arXiv:2503.10622", build=_dynamic_tanh, statistic="nothing",
    ),
    NormInfo(
        "derf", "Dynamic Erf", "erf(alpha * x + s) * gamma_c + beta_c", Axes(),
        batch_statistics=False, train_eval_differ=False,
        when="Transformers, as dyt: its authors measured it ahead of dyt and LayerNorm in ViT and DiT.",
        avoid="In place of BatchNorm: dyt, which it is made after, loses accuracy there (arXiv:2503.10622, table 16).",
        mistakes=("Values far above 1 / alpha: erf is flatter there than tanh, and passes even less gradient.",),
        paper="arXiv:2512.10938", build=_dynamic_erf, statistic="nothing",
    ),
    NormInfo(
        "frn", "Filter Response Normalization with TLU",
        "max(x / sqrt(mean_HW(x^2) + eps) * gamma_c + beta_c, tau_c)", Axes(positions=True),
        batch_statistics=False, train_eval_differ=False,
        when="Vision with small batches. It brings its activation, the thresholded linear unit max(y, tau), and blocks "
        "leave theirs out; where no activation follows a norm, and as frn(activation=false), it is y alone.",
        avoid="With a high learning rate from the first step: without centring some networks are sensitive to it "
        "(arXiv:1911.09737, section 4.1).",
        mistakes=(
            "ReLU after it in place of its TLU: nothing centres the values, so that ReLU's 0 is no natural threshold.",
            "Maps of 1x1 pixels: x / |x| is a sign; the paper learns eps there, which is not done here.",
        ),
        paper="arXiv:1911.09737", build=_filter_response_norm, statistic="mean square", activates=True,
    ),
    NormInfo(
        "evonorm-s0", "EvoNorm-S0", "x * sigmoid(v_c * x) / sqrt(var_gHW + eps) * gamma_c + beta_c",
        Axes(channels="group", count=4, positions=True), batch_statistics=False, train_eval_differ=False,
        when="Vision with small batches, as gn. It brings its activation, x * sigmoid(v * x), and blocks leave theirs "
        "out; where no activation follows a norm, and as evonorm-s0(activation=false), x takes its place.",
        avoid="Where the activation is under study: it has its own, unlike gn (`normbench norms gn`).",
        mistakes=(
            "An activation after it: it has one.",
            "Groups that do not divide the channels: refused, with those that do.",
        ),
        paper="arXiv:2004.02967", build=_evonorm_s0, statistic="variance", activates=True,
    ),
    NormInfo(
        "brn", "Batch Renormalization", "((x - mean_NHW) / sqrt(var_NHW + eps) * r + d) * gamma_c + beta_c",
        Axes(images=True, positions=True), batch_statistics=True, train_eval_differ=True,
        when="Small or dependent batches, with BatchNorm's running statistics in evaluation: r and d move what is "
        "trained towards it. r is bounded by 1 and d by 0 in the first `warmup` steps, then by up to r_max "
        "and d_max, linearly within 7 and 4 times as many steps. The paper begins at step 5,000 and ends at 40,000 and "
        "25,000; short trainings, as here, need a tenth of that: 500, 4,000 and 2,500.",
        avoid="In trainings of a few hundred steps: then it is bn at more cost (`normbench cost --norms bn,brn`).",
        mistakes=(
            "Bounds that are wide from the first step: the moving averages are those of no batch yet.",
            "One value a channel while training, as of one image of 1x1 pixels: it raises.",
        ),
        paper="arXiv:1702.03275", build=_batch_renorm,
    ),
    NormInfo(
        "gbn", "Ghost Batch Normalization", "(x - mean_sHW) / sqrt(var_sHW + eps) * gamma_c + beta_c",
        Axes(images=True, positions=True, ghost=16), batch_statistics=True, train_eval_differ=True,
        when="Large batches that lose accuracy: statistics of `size` images each, as small batches have them.",
        avoid="With batches of no more than `size` images: they are one ghost batch, as with bn (arXiv:1705.08741).",
        mistakes=(
            "A size that does not divide the batch: the last ghost batch has the few images that are left over.",
            "Timing it as one BatchNorm: it is one for each ghost batch.",
        ),
        paper="arXiv:1705.08741", build=_ghost_batch_norm,
    ),
    NormInfo(
        "ebn", "Extended Batch Normalization", "(x - mean_NHW) / sqrt(var_NCHW + eps) * gamma_c + beta_c",
        Axes(images=True, positions=True), batch_statistics=True, train_eval_differ=True,
        when="Small batches, in place of bn: each channel has its mean, and all channels share one variance, which so "
        "many values estimate better.",
        avoid="With large batches: its paper claims to come close to BatchNorm there, not ahead (arXiv:2003.05569).",
        mistakes=(
            "Channels of very different scale before it: one variance for all of them leaves the differences in.",
            "One value a channel while training, as of one image of 1x1 pixels: it raises.",
        ),
        paper="arXiv:2003.05569", build=_extended_batch_norm, statistic="mean",
        further=(("variance", Axes(images=True, channels="all", positions=True)),),
    ),
    NormInfo(
        "sn", "Switchable Normalization",
        "(x - sum_k w_k mean_k) / sqrt(sum_k v_k var_k + eps) * gamma_c + beta_c, k over HW, CHW and NHW",
        Axes(images=True, positions=True), batch_statistics=True, train_eval_differ=True,
        when="Where it is unknown which of bn, ln and in fits: each layer learns its shares of their means (w) and of "
        "their variances (v), each a softmax of three numbers; on vectors, of those of bn and ln.",
        avoid="Where time counts: it takes three statistics instead of one (`normbench cost --norms bn,sn`).",
        mistakes=(
            "Leaving the network in train mode to evaluate it: the share of bn then depends on the other images.",
            "Reading the shares under weight decay: it pulls them towards a third each.",
        ),
        paper="arXiv:1806.10779", build=_switchable_norm,
        further=(("mean and variance", Axes(channels="all", positions=True)),
                 ("mean and variance", Axes(positions=True))),
        omits_single_values=True,
    ),
    NormInfo(
        "bin", "Batch-Instance Normalization",
        "(rho_c * (x - mean_NHW) / sqrt(var_NHW + eps) + (1 - rho_c) * (x - mean_HW) / sqrt(var_HW + eps)) * gamma_c "
        "+ beta_c",
        Axes(images=True, positions=True), batch_statistics=True, train_eval_differ=True,
        when="Where the style of an image (contrast, light) should not matter in some channels: a gate rho in [0, 1] "
        "for each channel mixes bn (1, where it begins) with in (0).",
        avoid="Where time counts: it takes two statistics instead of one (`normbench cost --norms bn,bin`).",
        mistakes=(
            "Weight decay on the gates: it pulls them towards in. Its authors train them without, and at ten times the "
            "learning rate; here they are trained as all parameters are, or with training.decay_norms=false as those "
            "of all norms.",
            "Maps of 1x1 pixels: in has nothing to standardize there, and torch raises.",
        ),
        paper="arXiv:1805.07925", build=_batch_instance_norm,
        further=(("mean and variance", Axes(positions=True)),),
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
    "scalenorm": "scale", "dynamictanh": "dyt", "dynamicerf": "derf", "filterresponsenorm": "frn",
    "filterresponsenormalization": "frn", "evonorm": "evonorm-s0", "evonorms0": "evonorm-s0",
    "batchrenorm": "brn", "batchrenormalization": "brn", "ghostbatchnorm": "gbn", "ghostbatchnormalization": "gbn",
    "extendedbatchnorm": "ebn", "extendedbatchnormalization": "ebn",
    "switchnorm": "sn", "switchablenorm": "sn", "switchablenormalization": "sn",
    "batchinstance": "bin", "batchinstancenorm": "bin", "batchinstancenormalization": "bin",
    "identity": "none", "nonorm": "none", "no": "none",
}  # fmt: skip
"""Other names of the built-in norms, in small letters and digits alone: a hint for whoever types one."""
