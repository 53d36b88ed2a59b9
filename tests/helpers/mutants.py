"""Norms that are wrong in one way each, for `verify` to notice, and the right ones that they are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench.norms.layers import (
    BatchInstanceNorm,
    BatchRenorm,
    CenteredWeightNormConv2d,
    ChannelLayerNorm,
    ChannelRMSNorm,
    DynamicErf,
    DynamicTanh,
    EvoNormS0,
    ExtendedBatchNorm,
    FilterResponseNorm,
    GhostBatchNorm,
    ScaleNorm,
    StandardizedConv2d,
    SwitchableNorm,
    WeightNormConv2d,
)
from normbench.studies.verify.cases import Case


class Norm(nn.Module):
    """`ln`, spelt out; the other norms change its axes or its methods."""

    axes: tuple[int, ...] = (1, 2, 3)
    eps = 1e-5
    correction = 0

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.groups = case.groups
        shape = self.parameter_shape(case.shape[1:])
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def parameter_shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        return sample[:1]

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        var, mean = torch.var_mean(x, self.axes, keepdim=True, correction=self.correction)
        return mean, var

    def standardize(self, x: Tensor) -> Tensor:
        mean, var = self.moments(x)
        return (x - mean) / torch.sqrt(var + self.eps)

    def affine(self, x_hat: Tensor) -> Tensor:
        return column(self.weight) * x_hat + column(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.affine(self.standardize(x))


class In(Norm):
    axes = (2, 3)


class LnC(Norm):
    axes = (1,)


class LnChw(Norm):
    def parameter_shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        return sample


class Gn(Norm):
    def standardize(self, x: Tensor) -> Tensor:
        return super().standardize(x.reshape(len(x), self.groups, -1, x.shape[3])).reshape(x.shape)

    axes = (2, 3)


class Rms(Norm):
    def __init__(self, case: Case) -> None:
        super().__init__(case)
        del self.bias

    def standardize(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.square().mean(self.axes, keepdim=True) + self.eps)

    def affine(self, x_hat: Tensor) -> Tensor:
        return column(self.weight) * x_hat


class Bn(Norm):
    axes = (0, 2, 3)
    momentum = 0.1

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self.register_buffer("running_mean", torch.zeros_like(self.bias.detach()))
        self.register_buffer("running_var", torch.ones_like(self.bias.detach()))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            return column(self.running_mean), column(self.running_var)
        mean, var = super().moments(x)
        self.move(mean.detach().flatten(), self.variance_to_remember(x.detach()))
        return mean, var

    def variance_to_remember(self, x: Tensor) -> Tensor:
        return x.var(self.axes, correction=1)

    def move(self, mean: Tensor, var: Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var, self.momentum)


def column(parameter: Tensor) -> Tensor:
    return parameter.view(-1, 1, 1) if parameter.dim() == 1 else parameter


RIGHT: dict[str, type[Norm]] = {"bn": Bn, "gn": Gn, "ln": Norm, "in": In, "ln-c": LnC, "ln-chw": LnChw, "rms": Rms}
Make = Callable[[Case], nn.Module]


@dataclass(frozen=True)
class Mutant:
    """One wrong norm."""

    norm: str
    """The registered norm that it takes itself for."""
    fault: str
    make: Make


def mutant(norm: str, fault: str, **changes: Any) -> Mutant:
    """The right norm with other attributes or methods."""
    return Mutant(norm, fault, type("Wrong", (RIGHT[norm],), changes))


def others(
    norm: str, seen: Callable[[Tensor], bool], wrong: Callable[[nn.Module, Tensor], Tensor], fault: str
) -> Mutant:
    """The right norm, but for inputs that look a certain way."""
    right = RIGHT[norm]

    def forward(self: Norm, x: Tensor) -> Tensor:
        return wrong(self, x) if seen(x) else right.forward(self, x)

    return mutant(norm, fault, forward=forward)


def detached_mean(self: Norm, x: Tensor) -> tuple[Tensor, Tensor]:
    mean, var = type(self).__mro__[1].moments(self, x)
    return mean.detach(), var


def detached_variance(self: Norm, x: Tensor) -> tuple[Tensor, Tensor]:
    mean, var = type(self).__mro__[1].moments(self, x)
    return mean, var.detach()


def eps_outside(self: Norm, x: Tensor) -> Tensor:
    mean, var = self.moments(x)
    return (x - mean) / (torch.sqrt(var) + self.eps)


def initial(name: str, value: float) -> Callable[..., None]:
    def begin(self: Norm, case: Case) -> None:
        super(type(self), self).__init__(case)
        self.load_state_dict({name: torch.full_like(self.state_dict()[name], value)}, strict=False)

    return begin


def straight_through(self: Norm, x: Tensor) -> Tensor:
    return x + (type(self).__mro__[1].forward(self, x) - x).detach()


def bare_in_evaluation(self: Norm, x: Tensor) -> Tensor:
    return type(self).__mro__[1].forward(self, x) if self.training else self.standardize(x)


def common(norm: str) -> list[Mutant]:
    """Faults that every norm with a mean can have."""
    return [
        mutant(norm, "eps 1e-6", eps=1e-6),
        mutant(norm, "eps 1e-3", eps=1e-3),
        mutant(norm, "unbiased variance", correction=1),
        mutant(norm, "mean without gradient", moments=detached_mean),
        mutant(norm, "variance without gradient", moments=detached_variance),
        mutant(norm, "gamma as 1 + gamma", affine=lambda self, x: column(1 + self.weight) * x + column(self.bias)),
        mutant(norm, "gamma without gradient", affine=lambda s, x: column(s.weight).detach() * x + column(s.bias)),
        mutant(norm, "no beta", affine=lambda self, x: column(self.weight) * x + 0 * column(self.bias)),
        mutant(norm, "beta before gamma", affine=lambda s, x: column(s.weight) * (x + column(s.bias))),
        mutant(norm, "no affine map in evaluation", forward=bare_in_evaluation),
        mutant(norm, "gradient straight through", forward=straight_through),
        mutant(norm, "gamma begins at 0", __init__=initial("weight", 0.0)),
    ]


def of_axes() -> list[Mutant]:
    """Statistics over other values."""
    wrong: dict[str, Sequence[tuple[int, ...]]] = {
        "ln": ((2, 3), (1,), (0, 1, 2, 3)),
        "in": ((2,), (3,), (1, 2, 3)),
        "ln-c": ((1, 2, 3), (3,)),
        "ln-chw": ((1,), (2, 3)),
        "rms": ((1,), (2, 3)),
    }
    return [
        *(mutant(norm, f"statistics over {axes}", axes=axes) for norm, several in wrong.items() for axes in several),
        Mutant("bn", "each image alone", lambda case: InstanceWithStatistics(case.shape[1])),
        mutant("gn", "a group a channel", standardize=In.standardize),
        Mutant("gn", "one group", lambda case: nn.GroupNorm(1, case.shape[1])),
        Mutant("gn", "twice the groups", lambda case: nn.GroupNorm(2 * case.groups, case.shape[1])),
        mutant("gn", "every fourth channel is a group", standardize=interleaved),
    ]


class InstanceWithStatistics(nn.InstanceNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, track_running_stats=True)


def interleaved(self: Norm, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    mixed = x.view(n, c // self.groups, self.groups, h, w).transpose(1, 2).reshape(x.shape)
    y = Gn.standardize(self, mixed).view(n, self.groups, c // self.groups, h, w)
    return y.transpose(1, 2).reshape(x.shape)


def of_statistics() -> list[Mutant]:
    """BatchNorm's running statistics and modes."""

    def batch_in_evaluation(self: Bn, x: Tensor) -> tuple[Tensor, Tensor]:
        return Norm.moments(self, x) if not self.training else Bn.moments(self, x)

    def running_in_training(self: Bn, x: Tensor) -> tuple[Tensor, Tensor]:
        Bn.moments(self, x)
        return column(self.running_mean.clone()), column(self.running_var.clone())

    def never(self: Bn, mean: Tensor, var: Tensor) -> None:
        """Move nothing."""

    def twice(self: Bn, mean: Tensor, var: Tensor) -> None:
        Bn.move(self, mean, var)
        Bn.move(self, mean, var)

    def mean_only(self: Bn, mean: Tensor, var: Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)

    def first_is_all(self: Bn, mean: Tensor, var: Tensor) -> None:
        self.momentum = 0.1 if hasattr(self, "seen") else 1.0
        self.seen = True
        Bn.move(self, mean, var)

    def slower_from_the_tenth(self: Bn, mean: Tensor, var: Tensor) -> None:
        self.seen = getattr(self, "seen", 0) + 1
        self.momentum = 0.1 if self.seen < 10 else 0.05
        Bn.move(self, mean, var)

    def moves_in_evaluation(self: Bn, x: Tensor) -> Tensor:
        y = Norm.forward(self, x)
        if not self.training:
            Bn.move(self, x.mean((0, 2, 3)), x.var((0, 2, 3)))
        return y

    return [
        mutant("bn", "momentum 0.2", momentum=0.2),
        mutant("bn", "momentum 0.9", momentum=0.9),
        mutant("bn", "momentum 0.09", momentum=0.09),
        mutant("bn", "biased running variance", variance_to_remember=lambda s, x: x.var(s.axes, correction=0)),
        mutant("bn", "running deviation", variance_to_remember=lambda s, x: x.std(s.axes)),
        mutant("bn", "batch statistics in evaluation", moments=batch_in_evaluation),
        mutant("bn", "running statistics in training", moments=running_in_training),
        mutant("bn", "statistics never move", move=never),
        mutant("bn", "statistics move twice", move=twice),
        mutant("bn", "variance never moves", move=mean_only),
        mutant("bn", "first batch is all", move=first_is_all),
        mutant("bn", "slower from the tenth step", move=slower_from_the_tenth),
        mutant("bn", "statistics move in evaluation", forward=moves_in_evaluation),
        mutant("bn", "running mean begins at 1", __init__=initial("running_mean", 1.0)),
        mutant("bn", "running variance begins at 0", __init__=initial("running_var", 0.0)),
    ]


def of_conditions() -> list[Mutant]:
    """Right on small inputs, in one step, in float64 or contiguous, and wrong as trained."""

    def rounded(self: nn.Module, x: Tensor) -> Tensor:
        return type(self).__mro__[1].forward(self, x.bfloat16().to(x.dtype))

    def by_channel(self: Norm, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, (2, 3), keepdim=True, correction=0)
        return self.affine((x - mean) / torch.sqrt(var + self.eps))

    def blind(self: Norm, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, self.axes, keepdim=True, correction=0)
        return self.affine((x - mean.detach()) / torch.sqrt(var.detach() + self.eps))

    def changes_after(steps: int) -> Callable[[Norm, Tensor], Tensor]:
        def forward(self: Norm, x: Tensor) -> Tensor:
            self.steps = getattr(self, "steps", 0) + self.training
            return Norm.forward(self, x) * (1 if self.steps <= steps else 1.001)

        return forward

    def from_size(dimension: int, size: int) -> Callable[[Tensor], bool]:
        return lambda x: x.shape[dimension] >= size

    def channels_last(x: Tensor) -> bool:
        return not x.is_contiguous()

    thresholds = {"images": (0, (5, 33, 64)), "channels": (1, (16, 28, 32)), "rows": (2, (7, 16, 32))}
    return [
        *(
            others("ln", from_size(dimension, size), by_channel, f"each channel alone from {size} {what}")
            for what, (dimension, sizes) in thresholds.items()
            for size in sizes
        ),
        others("ln", lambda x: x.numel() > 200_000, by_channel, "each channel alone from 200,000 values"),
        others("ln", lambda x: x.dtype == torch.float32, blind, "no gradient through statistics in float32"),
        others("in", lambda x: x.dtype == torch.float32 and len(x) > 4, rounded, "bfloat16 for float32"),
        others("ln", channels_last, by_channel, "each channel alone in channels last"),
        others("bn", channels_last, lambda self, x: Norm.forward(self, x) + 1e-3, "a shift in channels last"),
        mutant("ln", "another scale after a step", forward=changes_after(1)),
        mutant("ln", "another scale after 20 steps", forward=changes_after(20)),
    ]


def of_the_rest() -> list[Mutant]:
    """Norms without a mean, weight standardization and dropout."""

    class Convolution(StandardizedConv2d):
        correction = 0
        axes: tuple[int, ...] = (1, 2, 3)
        blind = False

        def __init__(self, case: Case) -> None:
            super().__init__(case.shape[1], 6, 3, padding=1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            var, mean = torch.var_mean(self.weight, self.axes, keepdim=True, correction=self.correction)
            var = var.detach() if self.blind else var
            return self._conv_forward(x, (self.weight - mean) * torch.rsqrt(var + self.eps), None)

    class Dropout(nn.Dropout):
        def __init__(self, _case: Case) -> None:
            super().__init__(0.3)

    class Unscaled(Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (0.7 if self.training else 1)

    class Always(Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.3, training=True)

    class ScaledInEvaluation(Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (1 if self.training else 0.7)

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * (1 + 1e-4)

    class Blind(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach() + 0 * x

    def rms_blind(self: Norm, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.square().mean(self.axes, keepdim=True) + self.eps).detach()

    def ws(fault: str, **changes: Any) -> Mutant:
        return Mutant("+ws", fault, type("Wrong", (Convolution,), changes))

    def lrn(fault: str, **settings: Any) -> Mutant:
        return Mutant("lrn", fault, lambda _case: nn.LocalResponseNorm(**{"size": 5} | settings))

    return [
        mutant("rms", "eps 1e-6", eps=1e-6),
        mutant("rms", "eps 1e-3", eps=1e-3),
        mutant("rms", "mean taken out", standardize=Norm.standardize),
        mutant("rms", "root without gradient", standardize=rms_blind),
        mutant("rms", "gamma as 1 + gamma", affine=lambda self, x: column(1 + self.weight) * x),
        mutant("rms", "gradient straight through", forward=straight_through),
        mutant("rms", "no gamma in evaluation", forward=bare_in_evaluation),
        mutant("rms", "gamma begins at 0", __init__=initial("weight", 0.0)),
        *(mutant(norm, "eps outside of the root", standardize=eps_outside) for norm in ("bn", "ln", "in", "ln-c")),
        lrn("3 neighbours", size=3),
        lrn("alpha 1.01e-4", alpha=1.01e-4),
        lrn("alpha not divided", alpha=5e-4),
        lrn("power 0.7", beta=0.7),
        lrn("k = 2", k=2.0),
        Mutant("none", "scaled", lambda _: Scaled()),
        Mutant("none", "clipped", lambda _: nn.Hardtanh(-2.0, 2.0)),
        Mutant("none", "no gradient", lambda _: Blind()),
        ws("unbiased variance", correction=1),
        ws("each input channel alone", axes=(2, 3)),
        ws("eps 1e-4", eps=1e-4),
        ws("variance without gradient", blind=True),
        Mutant("dropout", "not scaled", Unscaled),
        Mutant("dropout", "drops in evaluation", Always),
        Mutant("dropout", "scaled in evaluation", ScaledInEvaluation),
        Mutant("dropout", "p = 0.5", lambda _: nn.Dropout(0.5)),
    ]


def channel_rms(**changes: Any) -> Make:
    """The channel RMS norm with other attributes or methods."""
    return lambda case: type("Wrong", (ChannelRMSNorm,), changes)(case.shape[1])


def scale(forward: Callable[[nn.Module, Tensor], Tensor] = ScaleNorm.forward, **settings: Any) -> Make:
    return lambda case: type("Wrong", (ScaleNorm,), {"forward": forward})(case.shape[1], **settings)


def length(x: Tensor, dim: int | tuple[int, ...] = 1) -> Tensor:
    return torch.linalg.vector_norm(x, dim=dim, keepdim=True).clamp(min=1e-5)


def of_lengths() -> list[Mutant]:
    """Norms of lengths and root mean squares over the channels."""
    return [
        Mutant("rms-c", "over the sample", channel_rms(dims=(1, 2, 3))),
        Mutant("rms-c", "over positions", channel_rms(dims=(2, 3))),
        Mutant("rms-c", "eps 1e-6", lambda case: ChannelRMSNorm(case.shape[1], 1e-6)),
        Mutant("rms-c", "eps 1e-3", lambda case: ChannelRMSNorm(case.shape[1], 1e-3)),
        Mutant("rms-c", "mean taken out", lambda case: ChannelLayerNorm(case.shape[1])),
        Mutant("scale", "over the sample", scale(lambda s, x: s.scale * x / length(x, (1, 2, 3)))),
        Mutant("scale", "over positions", scale(lambda s, x: s.scale * x / length(x, (2, 3)))),
        Mutant("scale", "root mean square", scale(lambda s, x: s.scale * x / length(x) * x.shape[1] ** 0.5)),
        Mutant("scale", "length without gradient", scale(lambda s, x: s.scale * x / length(x).detach())),
        Mutant("scale", "scale without gradient", scale(lambda s, x: s.scale.detach() * x / length(x) + 0 * s.scale)),
        Mutant("scale", "scale begins as 1", lambda case: begun(ScaleNorm(case.shape[1]), "scale", 1.0)),
        Mutant(
            "scale", "sum of magnitudes", scale(lambda s, x: s.scale * x / x.abs().sum(1, keepdim=True).clamp(1e-5))
        ),
    ]


def changed(kind: type[nn.Module], **changes: Any) -> Make:
    """A module of the number of channels with other attributes or methods."""
    return lambda case: type("Wrong", (kind,), changes)(case.shape[1])


def of_pointwise() -> list[Mutant]:
    """Norms without statistics."""

    def as_erf(self: DynamicTanh, x: Tensor) -> Tensor:
        return torch.erf(self.alpha * x) * column(self.weight) + column(self.bias)

    def per_channel(self: DynamicTanh, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x * x.abs().mean((2, 3), keepdim=True)) * column(self.weight) + column(self.bias)

    def blind(self: DynamicTanh, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha.detach() * x) * column(self.weight) + column(self.bias) + 0 * self.alpha

    def shift_outside(self: DynamicErf, x: Tensor) -> Tensor:
        return (torch.erf(self.alpha * x) + self.shift) * column(self.weight) + column(self.bias)

    def as_tanh(self: DynamicErf, x: Tensor) -> Tensor:
        return torch.tanh(self.alpha * x + self.shift) * column(self.weight) + column(self.bias)

    def steeper(self: DynamicErf, x: Tensor) -> Tensor:
        return torch.erf(1.001 * self.alpha * x + self.shift) * column(self.weight) + column(self.bias)

    return [
        Mutant("dyt", "alpha begins as 0.8", lambda case: DynamicTanh(case.shape[1], 0.8)),
        Mutant("dyt", "erf", changed(DynamicTanh, forward=as_erf)),
        Mutant("dyt", "scaled by each map", changed(DynamicTanh, forward=per_channel)),
        Mutant("dyt", "alpha without gradient", changed(DynamicTanh, forward=blind)),
        Mutant("derf", "shift begins as 0.1", lambda case: DynamicErf(case.shape[1], shift=0.1)),
        Mutant("derf", "shift outside", changed(DynamicErf, forward=shift_outside)),
        Mutant("derf", "tanh", changed(DynamicErf, forward=as_tanh)),
        Mutant("derf", "steeper by a thousandth", changed(DynamicErf, forward=steeper)),
    ]  # fmt: skip


def of_activated() -> list[Mutant]:
    """Norms with activations of their own."""

    def frn(self: FilterResponseNorm, x: Tensor, dims: tuple[int, ...] = (2, 3)) -> Tensor:
        scale = torch.rsqrt(x.square().mean(dims, keepdim=True) + self.eps)
        return x * scale * column(self.weight) + column(self.bias)

    def relu(self: FilterResponseNorm, x: Tensor) -> Tensor:
        return torch.relu(frn(self, x)) + 0 * column(self.tau)

    def over_sample(self: FilterResponseNorm, x: Tensor) -> Tensor:
        y, tau = frn(self, x, (1, 2, 3)), column(self.tau)
        return torch.where(y > tau, y, tau)

    def leaking(self: FilterResponseNorm, x: Tensor) -> Tensor:
        y, tau = frn(self, x), column(self.tau)
        return torch.where(y > tau, y, tau + 0.01 * (y - tau))

    def blind_threshold(self: FilterResponseNorm, x: Tensor) -> Tensor:
        y, tau = frn(self, x), column(self.tau).detach()
        return torch.where(y > tau, y, tau) + 0 * column(self.tau)

    def evonorm(case: Case, **changes: Any) -> nn.Module:
        return type("Wrong", (EvoNormS0,), changes)(case.shape[1], case.groups)

    def deviation(self: EvoNormS0, x: Tensor, correction: int = 0) -> Tensor:
        grouped = x.reshape(len(x), self.groups, -1)
        return torch.sqrt(grouped.var(2, correction=correction) + self.eps).repeat_interleave(
            x.shape[1] // self.groups, 1
        )[:, :, None, None]

    def evo(gate: Callable[[EvoNormS0, Tensor], Tensor], below: Callable[[EvoNormS0, Tensor], Tensor]) -> Make:
        def forward(self: EvoNormS0, x: Tensor) -> Tensor:
            return x * gate(self, x) / below(self, x) * column(self.weight) + column(self.bias)

        return lambda case: evonorm(case, forward=forward)

    def swish(self: EvoNormS0, x: Tensor) -> Tensor:
        return torch.sigmoid(column(self.v) * x)

    return [
        Mutant("frn", "ReLU", changed(FilterResponseNorm, forward=relu)),
        Mutant("frn", "over the sample", changed(FilterResponseNorm, forward=over_sample)),
        Mutant("frn", "leaks below the threshold", changed(FilterResponseNorm, forward=leaking)),
        Mutant("frn", "threshold without gradient", changed(FilterResponseNorm, forward=blind_threshold)),
        Mutant("frn", "eps 1e-5", lambda case: FilterResponseNorm(case.shape[1], 1e-5)),
        Mutant("frn", "tau begins as -1", lambda case: begun(FilterResponseNorm(case.shape[1]), "tau", -1.0)),
        Mutant("evonorm-s0", "v of 1", evo(lambda s, x: torch.sigmoid(x) + 0 * column(s.v), deviation)),
        Mutant("evonorm-s0", "sigmoid of the quotient", evo(
            lambda s, x: torch.sigmoid(column(s.v) * x / deviation(s, x)), deviation)),
        Mutant("evonorm-s0", "deviation without gradient", evo(swish, lambda s, x: deviation(s, x).detach())),
        Mutant("evonorm-s0", "unbiased variance", evo(swish, lambda s, x: deviation(s, x, 1))),
        Mutant("evonorm-s0", "one group", lambda case: EvoNormS0(case.shape[1], 1)),
        Mutant("evonorm-s0", "eps 1e-3", lambda case: EvoNormS0(case.shape[1], case.groups, 1e-3)),
    ]  # fmt: skip


def of_batches() -> list[Mutant]:
    """Norms of batch statistics besides BatchNorm."""

    def uncorrected(self: BatchRenorm, x: Tensor) -> Tensor:
        y = BatchRenorm.forward(self, x)
        if not self.training:
            return y
        var, mean = torch.var_mean(x, (0, 2, 3), keepdim=True, correction=0)
        return (x - mean) / torch.sqrt(var + self.eps) * column(self.weight) + column(self.bias)

    def unbounded(self: BatchRenorm, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return torch.tensor(1e6, dtype=dtype), torch.tensor(1e6, dtype=dtype)

    def with_gradient(self: BatchRenorm, x: Tensor) -> Tensor:
        if not self.training:
            return BatchRenorm.forward(self, x)
        bounds, mean, std = self._bounds(x.dtype), column(self.running_mean.clone()), column(self.running_std.clone())
        BatchRenorm.forward(self, x.detach())
        batch_var, batch_mean = torch.var_mean(x, (0, 2, 3), keepdim=True, correction=0)
        batch_std = torch.sqrt(batch_var + self.eps)
        r = torch.minimum(torch.maximum(batch_std / std, 1 / bounds[0]), bounds[0])
        d = torch.minimum(torch.maximum((batch_mean - mean) / std, -bounds[1]), bounds[1])
        return ((x - batch_mean) / batch_std * r + d) * column(self.weight) + column(self.bias)

    def averaged(self: GhostBatchNorm, x: Tensor) -> Tensor:
        before = self.running_mean.clone()
        y = GhostBatchNorm.forward(self, x)
        if self.training:
            self.running_mean.copy_(before.lerp(x.detach().mean((0, 2, 3)), self.momentum))
        return y

    return [
        Mutant("brn", "plain BatchNorm while training", changed(BatchRenorm, forward=uncorrected)),
        Mutant("brn", "no bounds", changed(BatchRenorm, _bounds=unbounded)),
        Mutant("brn", "r and d with gradient", changed(BatchRenorm, forward=with_gradient)),
        Mutant("brn", "longer ramp of r", changed(BatchRenorm, ramp_of_r=8)),
        Mutant("brn", "longer ramp of d", changed(BatchRenorm, ramp_of_d=5)),
        Mutant("brn", "warm-up of 600 steps", lambda case: BatchRenorm(case.shape[1], warmup=600)),
        Mutant("brn", "r up to 2", lambda case: BatchRenorm(case.shape[1], r_max=2.0)),
        Mutant("brn", "d up to 4", lambda case: BatchRenorm(case.shape[1], d_max=4.0)),
        Mutant("brn", "momentum 0.09", lambda case: BatchRenorm(case.shape[1], momentum=0.09)),
        Mutant("gbn", "the whole batch", lambda case: nn.BatchNorm2d(case.shape[1])),
        Mutant("gbn", "ghosts of 8", lambda case: GhostBatchNorm(case.shape[1], 8)),
        Mutant("gbn", "running mean of the whole batch", changed(GhostBatchNorm, forward=averaged)),
        Mutant("gbn", "momentum 0.09", lambda case: GhostBatchNorm(case.shape[1], momentum=0.09)),
    ]


def of_several_statistics() -> list[Mutant]:
    """Norms that mix statistics over different axes."""

    def extended(axes: tuple[int, ...], correction: int = 0, blind: bool = False) -> Make:
        def forward(self: ExtendedBatchNorm, x: Tensor) -> Tensor:
            y = ExtendedBatchNorm.forward(self, x)
            if not self.training:
                return y
            var = x.var(axes, correction=correction, keepdim=True)
            mean, var = x.mean((0, 2, 3), keepdim=True), var.detach() if blind else var
            return (x - mean) / torch.sqrt(var + self.eps) * column(self.weight) + column(self.bias)

        return changed(ExtendedBatchNorm, forward=forward)

    def centered(self: ExtendedBatchNorm, x: Tensor) -> Tensor:
        y = ExtendedBatchNorm.forward(self, x)
        if not self.training:
            return y
        difference = x - x.mean((0, 2, 3), keepdim=True)
        deviation = torch.sqrt(difference.square().mean() + self.eps)
        return difference / deviation * column(self.weight) + column(self.bias)

    def switchable(
        share: Callable[[Tensor], Tensor] = lambda weights: weights.softmax(0),
        order: tuple[int, int, int] = (0, 1, 2),
        correction: int = 0,
        blind: bool = False,
    ) -> Make:
        def forward(self: SwitchableNorm, x: Tensor) -> Tensor:
            y = SwitchableNorm.forward(self, x)
            if not self.training:
                return y
            w, v = share(self.mean_weight), share(self.var_weight)
            scopes = [((2, 3), (1, 2, 3), (0, 2, 3))[index] for index in order]
            moments = [torch.var_mean(x, axes, keepdim=True, correction=correction) for axes in scopes]
            mean = sum(w[k] * mean for k, (_, mean) in enumerate(moments))
            var = sum(v[k] * (var.detach() if blind else var) for k, (var, _) in enumerate(moments))
            return (x - mean) / torch.sqrt(var + self.eps) * column(self.weight) + column(self.bias)

        return changed(SwitchableNorm, forward=forward)

    def one_softmax(self: SwitchableNorm, x: Tensor) -> Tensor:
        shared = SwitchableNorm(x.shape[1]).to(x.dtype)
        shared.load_state_dict(self.state_dict())
        with torch.no_grad():
            shared.var_weight.copy_(self.mean_weight)
        y = shared.train(self.training)(x)
        SwitchableNorm.forward(self, x.detach())
        return y + 0 * sum(parameter.sum() for parameter in self.parameters())

    def unclipped(self: BatchInstanceNorm, x: Tensor) -> Tensor:
        running = (self.running_mean, self.running_var)
        batch = F.batch_norm(x, *running, None, None, self.training, self.momentum, self.eps)
        rho, instance = column(self.gate), F.instance_norm(x, eps=self.eps)
        return (rho * batch + (1 - rho) * instance) * column(self.weight) + column(self.bias)

    def squashed(self: BatchInstanceNorm, x: Tensor) -> Tensor:
        running = (self.running_mean, self.running_var)
        batch = F.batch_norm(x, *running, None, None, self.training, self.momentum, self.eps)
        rho, instance = column(self.gate.clamp(0, 1)), F.instance_norm(x, eps=self.eps)
        return (rho * batch + (1 - rho) * instance) * column(self.weight) + column(self.bias)

    def only_batch(self: BatchInstanceNorm, x: Tensor) -> Tensor:
        running = (self.running_mean, self.running_var)
        batch = F.batch_norm(x, *running, None, None, self.training, self.momentum, self.eps)
        return column(self.gate.clamp(0, 1)) * batch * column(self.weight) + column(self.bias)

    return [
        Mutant("ebn", "variance of each channel", extended((0, 2, 3))),
        Mutant("ebn", "variance of each image", extended((1, 2, 3))),
        Mutant("ebn", "unbiased variance", extended((0, 1, 2, 3), correction=1)),
        Mutant("ebn", "variance without gradient", extended((0, 1, 2, 3), blind=True)),
        Mutant("ebn", "variance about the means of the channels", changed(ExtendedBatchNorm, forward=centered)),
        Mutant("ebn", "momentum 0.09", lambda case: ExtendedBatchNorm(case.shape[1], momentum=0.09)),
        Mutant("sn", "shares in another order", switchable(order=(2, 1, 0))),
        Mutant("sn", "shares not normalized", switchable(lambda weights: weights / 3)),
        Mutant("sn", "unbiased variances", switchable(correction=1)),
        Mutant("sn", "variances without gradient", switchable(blind=True)),
        Mutant("sn", "the same shares of means and variances", changed(SwitchableNorm, forward=one_softmax)),
        Mutant("sn", "momentum 0.09", lambda case: SwitchableNorm(case.shape[1], momentum=0.09)),
        Mutant(
            "sn",
            "weights of the means begin at 0",
            lambda case: begun(SwitchableNorm(case.shape[1]), "mean_weight", 0.0),
        ),
        Mutant("bin", "gate without bounds", changed(BatchInstanceNorm, forward=unclipped)),
        Mutant("bin", "gate without gradient beyond its bounds", changed(BatchInstanceNorm, forward=squashed)),
        Mutant("bin", "nothing of in", changed(BatchInstanceNorm, forward=only_batch)),
        Mutant("bin", "gate begins at 0.5", lambda case: begun(BatchInstanceNorm(case.shape[1]), "gate", 0.5)),
        Mutant("bin", "momentum 0.09", lambda case: BatchInstanceNorm(case.shape[1], momentum=0.09)),
    ]


def begun(module: nn.Module, name: str, value: float) -> nn.Module:
    """The module, whose parameter or buffer begins with another value."""
    with torch.no_grad():
        module.get_parameter(name).fill_(value)
    return module


def of_weights() -> list[Mutant]:
    """Convolutions with normalized weights."""

    def conv(kind: type[WeightNormConv2d], **changes: Any) -> Make:
        return lambda case: type("Wrong", (kind,), changes)(case.shape[1], 6, 3, padding=1, bias=False)

    def forward(weight: Callable[[WeightNormConv2d], Tensor]) -> Callable[..., Tensor]:
        return lambda self, x: self._conv_forward(x, weight(self), None)

    def long(self: WeightNormConv2d, dims: tuple[int, ...] = (1, 2, 3)) -> Tensor:
        return torch.linalg.vector_norm(self.direction(), dim=dims, keepdim=True)

    def times(self: WeightNormConv2d) -> Tensor:
        return self.direction() * self.scale.view(-1, 1, 1, 1)

    blind = forward(lambda s: times(s) / long(s).detach())
    shared = forward(lambda s: times(s) / long(s, (0, 1, 2, 3)))
    rooted = forward(lambda s: times(s) / long(s) ** 0.5)
    wide = forward(lambda s: times(s) / long(s) * s.weight[0].numel() ** 0.5)
    faults = {
        "length without gradient": blind,
        "one length for all": shared,
        "root of the length": rooted,
        "deviation in place of length": wide,
    }
    return [
        *(Mutant("+wn", fault, conv(WeightNormConv2d, forward=wrong)) for fault, wrong in faults.items()),
        *(Mutant("+cwn", fault, conv(CenteredWeightNormConv2d, forward=wrong)) for fault, wrong in faults.items()),
        Mutant("+wn", "centered", conv(CenteredWeightNormConv2d)),
        Mutant("+cwn", "not centered", conv(WeightNormConv2d)),
    ]


def of_later() -> list[Mutant]:
    """Norms since 2017."""
    return [*of_pointwise(), *of_activated(), *of_batches(), *of_several_statistics(), *of_weights()]


def mutants() -> list[Mutant]:
    """The whole table."""
    every = [fault for norm in ("bn", "gn", "ln", "in", "ln-c", "ln-chw") for fault in common(norm)]
    return [*every, *of_axes(), *of_statistics(), *of_conditions(), *of_the_rest(), *of_lengths(), *of_later()]
