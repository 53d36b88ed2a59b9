"""Definitions of all norms in one shape.

They have the names of the registry, so that modules can be compared with them. Parameters and running statistics go by
the names that torch's modules give them: `weight` is γ, `bias` is β.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from normbench.errors import unknown
from normbench.reference import activated, batches, combined, norms, pointwise
from normbench.reference import convolution as around
from normbench.reference import error_bounds as magnitudes
from normbench.reference.rounding import Rounded
from normbench.reference.standardize import (
    EPS,
    Array,
    Axes,
    over_images,
    scale_and_shift,
    scale_and_shift_backward,
)

Parameters = Mapping[str, Array]
Shape = tuple[int, ...]
RUNNING = ("running_mean", "running_var")
AVERAGES = ("running_mean", "running_std")
"""Moving averages of Batch Renormalization."""
INITIAL: dict[str, float] = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}
"""Initial values of parameters and running statistics."""
Forward = Callable[[Array, Parameters, bool], Array]
"""(x, parameters, training) to y, with x of shape (N, C, H, W)."""


@dataclass(frozen=True)
class Gradients:
    """dL/dx, and the gradient of every parameter by its name."""

    x: Array
    parameters: Parameters


Backward = Callable[[Array, Array, Parameters, bool], Gradients]
"""(dL/dy, x, parameters, training) to the gradients."""


@dataclass(frozen=True)
class Definition:
    """A norm in float64, and the magnitudes that rounding errors of a program for it are measured by."""

    forward: Forward
    backward: Backward
    forward_magnitudes: Forward
    backward_magnitudes: Backward
    parameters: Callable[[Shape], dict[str, Shape]]
    """Shapes of the parameters and running statistics by name, for inputs of a shape."""
    summed: Callable[[Shape], int]
    """Values in the longest sum of forward and backward, for inputs of a shape."""
    refuses: Callable[[Shape, bool], bool] = lambda _shape, _training: False
    """(shape, training): whether torch's module must raise, since each value would be its own mean."""
    buffers: Callable[[Array, Parameters], Parameters] | None = None
    """(x, running statistics before) to those after a training step; None where the norm has none."""
    buffers_magnitudes: Callable[[Array, Parameters], Parameters] | None = None
    initial: Callable[[Shape], Mapping[str, float]] = lambda _shape: INITIAL
    """The value that all of a parameter or running statistic begins with; those that are drawn are left out."""
    train_eval_differ: bool = False
    """True if forward or backward depend on the mode."""
    unread_in_training: tuple[str, ...] = ()
    """Running statistics that forward and backward do not depend on while training."""


def definition(name: str, arguments: Mapping[str, Any] | None = None, *, one_pass: bool = False) -> Definition:
    """The definition of a built-in norm.

    Args:
        name: The name without arguments and `+ws`.
        arguments: Keyword arguments by the names that the norm's builder has for them; GroupNorm has 4 groups without.
        one_pass: Whether the program to be checked takes GroupNorm's variance as E[x²] - E[x]² (see `error_bounds`).

    Raises:
        UsageError: There is none of that name.
    """
    definitions = _definitions(one_pass)
    if name not in definitions:
        raise unknown("definition", name, definitions)
    return definitions[name](**(arguments or {}))


def has_definition(name: str) -> bool:
    """Test if a built-in norm can be verified: a record of the registry may come without a definition."""
    return name in _definitions(one_pass=False)


def _definitions(one_pass: bool) -> dict[str, Callable[..., Definition]]:
    return {
        "bn": _batch_norm,
        "gn": partial(_group_norm, one_pass=one_pass),
        "ln": partial(_group_norm, groups=1, one_pass=one_pass),
        "in": partial(_over_axes, norms.IMAGE, refuses=lambda shape, _training: prod(shape[2:]) == 1),
        "lrn": _local_response_norm,
        "ln-chw": partial(_over_axes, norms.SAMPLE, of_positions=True),
        "ln-c": partial(_over_axes, norms.POSITION),
        "rms": _rms_norm,
        "rms-c": _channel_rms_norm,
        "scale": _scale_norm,
        "dyt": _dynamic_tanh,
        "derf": _dynamic_erf,
        "frn": _filter_response_norm,
        "evonorm-s0": _evonorm_s0,
        "brn": _batch_renorm,
        "gbn": _ghost_batch_norm,
        "ebn": _extended_batch_norm,
        "sn": _switchable_norm,
        "bin": _batch_instance_norm,
        "none": _identity,
    }


def _derived(forward: Forward, backward: Backward, **more: Any) -> Definition:
    """A definition with the magnitudes that its own formulas give in the arithmetic of `rounding`."""

    def rounded(values: Parameters) -> Any:
        return {name: Rounded(value) for name, value in values.items()}

    def forward_magnitudes(x: Array, p: Parameters, training: bool) -> Array:
        return _terms(forward(_rounded(x), rounded(p), training))

    def backward_magnitudes(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        found = backward(_rounded(dy), _rounded(x), rounded(p), training)
        return Gradients(_terms(found.x), {name: _terms(value) for name, value in found.parameters.items()})

    if after := more.get("buffers"):
        more["buffers_magnitudes"] = lambda x, terms: {
            name: _terms(value) for name, value in after(_rounded(x), rounded(terms)).items()
        }
    return Definition(forward, backward, forward_magnitudes, backward_magnitudes, **more)


def _rounded(x: Array) -> Any:
    return Rounded(x)


def _terms(x: Any) -> Array:
    terms: Array = x.terms
    return terms


def _over_axes(
    axes: Axes,
    *,
    eps: float = EPS,
    refuses: Callable[[Shape, bool], bool] = lambda _shape, _training: False,
    of_positions: bool = False,
) -> Definition:
    def backward_magnitudes(dy: Array, x: Array, parameters: Parameters, _training: bool) -> Gradients:
        terms, gamma = magnitudes.standardized(x, axes, eps=eps), parameters["weight"]
        g = np.abs(dy * over_images(gamma))
        return Gradients(terms.backward(g), magnitudes.parameters(dy, terms.magnitude, gamma))

    return Definition(
        forward=lambda x, p, _training: norms.normalize(x, p["weight"], p["bias"], axes, eps),
        backward=lambda dy, x, p, _training: _affine(norms.normalize_backward(dy, x, p["weight"], axes, eps)),
        forward_magnitudes=lambda x, p, _training: _scaled(magnitudes.standardized(x, axes, eps=eps).magnitude, p),
        backward_magnitudes=backward_magnitudes,
        parameters=lambda shape: dict.fromkeys(("weight", "bias"), shape[1:] if of_positions else shape[1:2]),
        summed=lambda shape: max(prod(shape[axis] for axis in axes), _shared(shape)),
        refuses=refuses,
    )


def _group_norm(*, groups: int = 4, eps: float = EPS, one_pass: bool = False) -> Definition:
    def backward_magnitudes(dy: Array, x: Array, parameters: Parameters, _training: bool) -> Gradients:
        (terms, magnitude), gamma = magnitudes.grouped(x, groups, one_pass, eps), parameters["weight"]
        g = norms.in_groups(np.abs(dy * over_images(gamma)), groups)
        return Gradients(terms.backward(g).reshape(x.shape), magnitudes.parameters(dy, magnitude, gamma))

    return Definition(
        forward=lambda x, p, _training: norms.group_norm(x, p["weight"], p["bias"], groups, eps),
        backward=lambda dy, x, p, _training: _affine(norms.group_norm_backward(dy, x, p["weight"], groups, eps)),
        forward_magnitudes=lambda x, p, _training: _scaled(magnitudes.grouped(x, groups, one_pass, eps)[1], p),
        backward_magnitudes=backward_magnitudes,
        parameters=lambda shape: dict.fromkeys(("weight", "bias"), shape[1:2]),
        summed=lambda shape: max(prod(shape[1:]) // groups, _shared(shape)),
        refuses=lambda shape, _training: prod(shape) == groups,  # more images of single pixels torch takes: y is β
    )


def _batch_norm(*, eps: float = EPS, momentum: float = 0.1) -> Definition:
    train = _over_axes(norms.BATCH, eps=eps)

    def forward(x: Array, p: Parameters, training: bool) -> Array:
        if training:
            return train.forward(x, p, training)
        return norms.batch_norm_eval(x, p["weight"], p["bias"], p["running_mean"], p["running_var"], eps=eps)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        if training:
            return train.backward(dy, x, p, training)
        return _affine(norms.batch_norm_eval_backward(dy, x, p["weight"], p["running_mean"], p["running_var"], eps=eps))

    def forward_magnitudes(x: Array, p: Parameters, training: bool) -> Array:
        return train.forward_magnitudes(x, p, training) if training else _scaled(reach(x, p), p)

    def backward_magnitudes(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        if training:
            return train.backward_magnitudes(dy, x, p, training)
        return Gradients(np.abs(backward(dy, x, p, training).x), magnitudes.parameters(dy, reach(x, p), p["weight"]))

    def reach(x: Array, p: Parameters) -> Array:
        return magnitudes.reach_of_running(x, p["running_mean"], p["running_var"], eps)

    return Definition(
        forward,
        backward,
        forward_magnitudes,
        backward_magnitudes,
        parameters=lambda shape: train.parameters(shape) | dict.fromkeys(RUNNING, shape[1:2]),
        summed=train.summed,
        refuses=lambda shape, training: training and _shared(shape) == 1,
        buffers=lambda x, p: _running(norms.running_statistics(x, p["running_mean"], p["running_var"], momentum)),
        buffers_magnitudes=lambda x, p: _running(magnitudes.running(x, p["running_mean"], p["running_var"], momentum)),
        train_eval_differ=True,
        unread_in_training=RUNNING,
    )


def _rms_norm(*, eps: float = EPS) -> Definition:
    def backward(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dgamma = norms.rms_norm_backward(dy, x, p["weight"], eps)
        return Gradients(dx, {"weight": dgamma})

    def backward_magnitudes(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        terms, gamma = magnitudes.root_mean_squared(x, eps), p["weight"]
        dgamma = magnitudes.parameters(dy, terms.magnitude, gamma)["weight"]
        return Gradients(terms.backward(np.abs(dy * over_images(gamma))), {"weight": dgamma})

    return Definition(
        forward=lambda x, p, _training: norms.rms_norm(x, p["weight"], eps),
        backward=backward,
        forward_magnitudes=lambda x, p, _training: (
            np.abs(over_images(p["weight"])) * magnitudes.root_mean_squared(x, eps).magnitude
        ),
        backward_magnitudes=backward_magnitudes,
        parameters=lambda shape: {"weight": shape[1:2]},
        summed=lambda shape: max(prod(shape[1:]), _shared(shape)),
    )


def _channel_rms_norm(*, eps: float = EPS) -> Definition:
    def backward(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dgamma = norms.rms_norm_backward(dy, x, p["weight"], eps, norms.POSITION)
        return Gradients(dx, {"weight": dgamma})

    return _derived(
        forward=lambda x, p, _training: norms.rms_norm(x, p["weight"], eps, norms.POSITION),
        backward=backward,
        parameters=lambda shape: {"weight": shape[1:2]},
        summed=lambda shape: max(shape[1], _shared(shape)),
    )


def _scale_norm(*, eps: float = EPS) -> Definition:
    def backward(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dscale = norms.scale_norm_backward(dy, x, p["scale"], eps)
        return Gradients(dx, {"scale": dscale})

    return _derived(
        forward=lambda x, p, _training: norms.scale_norm(x, p["scale"], eps),
        backward=backward,
        parameters=lambda _shape: {"scale": (1,)},
        summed=prod,
        initial=lambda shape: {"scale": shape[1] ** 0.5},
    )


def _dynamic_tanh(*, alpha: float = 0.5) -> Definition:
    return _derived(
        forward=lambda x, p, _training: pointwise.dynamic_tanh(x, p["alpha"], p["weight"], p["bias"]),
        backward=lambda dy, x, p, _training: _gradients(
            pointwise.dynamic_tanh_backward(dy, x, p["alpha"], p["weight"])
        ),
        parameters=lambda shape: {"alpha": (1,)} | dict.fromkeys(("weight", "bias"), shape[1:2]),
        summed=prod,
        initial=lambda _shape: INITIAL | {"alpha": alpha},
    )


def _dynamic_erf(*, alpha: float = 0.5, shift: float = 0.0) -> Definition:
    return _derived(
        forward=lambda x, p, _training: pointwise.dynamic_erf(x, p["alpha"], p["shift"], p["weight"], p["bias"]),
        backward=lambda dy, x, p, _training: _gradients(
            pointwise.dynamic_erf_backward(dy, x, p["alpha"], p["shift"], p["weight"])
        ),
        parameters=lambda shape: (
            dict.fromkeys(("alpha", "shift"), (1,)) | dict.fromkeys(("weight", "bias"), shape[1:2])
        ),
        summed=prod,
        initial=lambda _shape: INITIAL | {"alpha": alpha, "shift": shift},
    )


def _filter_response_norm(*, eps: float = 1e-6, activation: bool = True) -> Definition:
    names = ("weight", "bias", *(["tau"] * activation))
    return _derived(
        forward=lambda x, p, _training: activated.filter_response_norm(
            x, p["weight"], p["bias"], p.get("tau"), eps=eps
        ),
        backward=lambda dy, x, p, _training: _gradients(
            activated.filter_response_norm_backward(dy, x, p["weight"], p["bias"], p.get("tau"), eps=eps)
        ),
        parameters=lambda shape: dict.fromkeys(names, shape[1:2]),
        summed=lambda shape: max(prod(shape[2:]), _shared(shape)),
        initial=lambda _shape: INITIAL | {"tau": 0.0},
    )


def _evonorm_s0(*, groups: int = 4, eps: float = EPS, activation: bool = True) -> Definition:
    names = ("weight", "bias", *(["v"] * activation))
    return _derived(
        forward=lambda x, p, _training: activated.evonorm_s0(
            x, p["weight"], p["bias"], p.get("v"), groups=groups, eps=eps
        ),
        backward=lambda dy, x, p, _training: _gradients(
            activated.evonorm_s0_backward(dy, x, p["weight"], p.get("v"), groups=groups, eps=eps)
        ),
        parameters=lambda shape: dict.fromkeys(names, shape[1:2]),
        summed=lambda shape: max(prod(shape[1:]) // groups, _shared(shape)),
        initial=lambda _shape: INITIAL | {"v": 1.0},
    )


def _batch_renorm(
    *, r_max: float = 3.0, d_max: float = 5.0, warmup: int = 500, eps: float = EPS, momentum: float = 0.1
) -> Definition:
    def limits(p: Parameters) -> tuple[Array, Array]:
        return batches.bounds(p["num_batches_tracked"], warmup, r_max, d_max)

    def forward(x: Array, p: Parameters, training: bool) -> Array:
        gamma, beta, mean, std = (p[name] for name in ("weight", "bias", *AVERAGES))
        if training:
            return batches.batch_renorm(x, gamma, beta, mean, std, limits=limits(p), eps=eps)
        return scale_and_shift((x - over_images(mean)) / over_images(std), gamma, beta)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        gamma, mean, std = (p[name] for name in ("weight", *AVERAGES))
        if training:
            return _gradients(batches.batch_renorm_backward(dy, x, gamma, mean, std, limits=limits(p), eps=eps))
        x_hat = (x - over_images(mean)) / over_images(std)
        dx_hat, dgamma, dbeta = scale_and_shift_backward(dy, x_hat, gamma)
        return _affine((dx_hat / over_images(std), dgamma, dbeta))

    def averages(x: Array, p: Parameters) -> Parameters:
        found = batches.moving_averages(x, p["running_mean"], p["running_std"], momentum, eps)
        return dict(zip(AVERAGES, found, strict=True))

    return _derived(
        forward=forward,
        backward=backward,
        parameters=lambda shape: dict.fromkeys(("weight", "bias", *AVERAGES), shape[1:2]),
        summed=_shared,
        refuses=lambda shape, training: training and _shared(shape) == 1,
        buffers=averages,
        initial=lambda _shape: INITIAL | {"running_std": 1.0},
        train_eval_differ=True,
    )


def _ghost_batch_norm(*, size: int = 16, eps: float = EPS, momentum: float = 0.1) -> Definition:
    whole = _batch_norm(eps=eps, momentum=momentum)

    def forward(x: Array, p: Parameters, training: bool) -> Array:
        if training:
            return batches.ghost_batch_norm(x, p["weight"], p["bias"], size, eps)
        return whole.forward(x, p, training)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        if training:
            return _affine(batches.ghost_batch_norm_backward(dy, x, p["weight"], size, eps))
        return whole.backward(dy, x, p, training)

    def buffers(x: Array, p: Parameters) -> Parameters:
        return _running(batches.ghost_statistics(x, p["running_mean"], p["running_var"], size, momentum))

    return _derived(
        forward=forward,
        backward=backward,
        parameters=whole.parameters,
        summed=whole.summed,
        # The last ghost batch is the smallest: torch's module raises where it has single values.
        refuses=lambda shape, training: training and prod(((shape[0] - 1) % size + 1, *shape[2:])) == 1,
        buffers=buffers,
        train_eval_differ=True,
        unread_in_training=RUNNING,
    )


def _extended_batch_norm(*, eps: float = EPS, momentum: float = 0.1) -> Definition:
    def forward(x: Array, p: Parameters, training: bool) -> Array:
        if training:
            return combined.extended_batch_norm(x, p["weight"], p["bias"], eps)
        return norms.batch_norm_eval(x, p["weight"], p["bias"], p["running_mean"], p["running_var"], eps=eps)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        if training:
            return _affine(combined.extended_batch_norm_backward(dy, x, p["weight"], eps))
        return _affine(norms.batch_norm_eval_backward(dy, x, p["weight"], p["running_mean"], p["running_var"], eps=eps))

    return _derived(
        forward=forward,
        backward=backward,
        parameters=lambda shape: dict.fromkeys(("weight", "bias", "running_mean"), shape[1:2]) | {"running_var": (1,)},
        summed=prod,
        refuses=lambda shape, training: training and _shared(shape) == 1,
        buffers=lambda x, p: _running(combined.extended_statistics(x, p["running_mean"], p["running_var"], momentum)),
        train_eval_differ=True,
        unread_in_training=RUNNING,
    )


def _switchable_norm(*, eps: float = EPS, momentum: float = 0.1) -> Definition:
    learned = ("weight", "bias", "mean_weight", "var_weight")

    def forward(x: Array, p: Parameters, training: bool) -> Array:
        parameters = tuple(p[name] for name in learned)
        return combined.switchable_norm(x, parameters, _statistics(p, training), eps)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        parameters = tuple(p[name] for name in learned)
        return _gradients(combined.switchable_norm_backward(dy, x, parameters, _statistics(p, training), eps))

    return _derived(
        forward=forward,
        backward=backward,
        parameters=lambda shape: (
            dict.fromkeys(("weight", "bias", *RUNNING), shape[1:2]) | dict.fromkeys(learned[2:], (3,))
        ),
        summed=prod,
        buffers=lambda x, p: _running(combined.switchable_statistics(x, p["running_mean"], p["running_var"], momentum)),
        initial=lambda _shape: INITIAL | dict.fromkeys(learned[2:], 1.0),
        train_eval_differ=True,
        unread_in_training=RUNNING,
    )


def _batch_instance_norm(*, eps: float = EPS, momentum: float = 0.1) -> Definition:
    def forward(x: Array, p: Parameters, training: bool) -> Array:
        parameters = (p["weight"], p["bias"], p["gate"])
        return combined.batch_instance_norm(x, parameters, _statistics(p, training), eps)

    def backward(dy: Array, x: Array, p: Parameters, training: bool) -> Gradients:
        parameters = (p["weight"], p["bias"], p["gate"])
        return _gradients(combined.batch_instance_norm_backward(dy, x, parameters, _statistics(p, training), eps))

    return _derived(
        forward=forward,
        backward=backward,
        parameters=lambda shape: dict.fromkeys(("weight", "bias", "gate", *RUNNING), shape[1:2]),
        summed=_shared,
        refuses=lambda shape, _training: prod(shape[2:]) == 1,
        buffers=lambda x, p: _running(
            batches.ghost_statistics(x, p["running_mean"], p["running_var"], len(x), momentum)  # one ghost batch
        ),
        initial=lambda _shape: INITIAL | {"gate": 1.0},
        train_eval_differ=True,
        unread_in_training=RUNNING,
    )


def _statistics(p: Parameters, training: bool) -> tuple[Array, Array] | None:
    """Running statistics where they are read, in evaluation."""
    return None if training else (p["running_mean"], p["running_var"])


def _gradients(gradients: dict[str, Array]) -> Gradients:
    return Gradients(gradients.pop("x"), gradients)


def _local_response_norm(*, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Definition:
    constants = norms.ResponseConstants(size, alpha, beta, k)
    return Definition(
        forward=lambda x, _p, _training: norms.local_response_norm(x, constants),
        backward=lambda dy, x, _p, _training: Gradients(norms.local_response_norm_backward(dy, x, constants), {}),
        forward_magnitudes=lambda x, _p, _training: magnitudes.local_response(x, constants),
        backward_magnitudes=lambda dy, x, _p, _training: Gradients(
            magnitudes.local_response_backward(dy, x, constants), {}
        ),
        parameters=lambda _shape: {},
        summed=lambda _shape: size,
    )


def _identity() -> Definition:
    return Definition(
        forward=lambda x, _p, _training: x,
        backward=lambda dy, _x, _p, _training: Gradients(dy, {}),
        forward_magnitudes=lambda x, _p, _training: np.abs(x),
        backward_magnitudes=lambda dy, _x, _p, _training: Gradients(np.abs(dy), {}),
        parameters=lambda _shape: {},
        summed=lambda _shape: 1,
    )


def standardized_convolution(outputs: int) -> Definition:
    """The 3x3 convolution of `+ws` to so many channels; `weight` is the weight before it is standardized."""

    def backward(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dw_hat = around.convolve_backward(dy, x, around.standardize_weight(p["weight"]))
        return Gradients(dx, {"weight": around.standardize_weight_backward(dw_hat, p["weight"])})

    def backward_magnitudes(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dweight = magnitudes.standardized_convolution_backward(dy, x, p["weight"])
        return Gradients(dx, {"weight": dweight})

    return Definition(
        forward=lambda x, p, _training: around.convolve(x, around.standardize_weight(p["weight"])),
        backward=backward,
        forward_magnitudes=lambda x, p, _training: magnitudes.standardized_convolution(x, p["weight"]),
        backward_magnitudes=backward_magnitudes,
        parameters=lambda shape: {"weight": (outputs, shape[1], 3, 3)},
        summed=lambda shape: max(9 * max(shape[1], outputs), _shared(shape)),
        initial=lambda _shape: {},
    )


def normalized_convolution(outputs: int, *, centered: bool) -> Definition:
    """The 3x3 convolution of `+wn` or `+cwn` to so many channels; `weight` is the direction, `scale` the lengths."""

    def kernels(p: Parameters) -> Array:
        return around.normalize_weight(p["weight"], p["scale"], centered)

    def backward(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        dx, dw = around.convolve_backward(dy, x, kernels(p))
        dweight, dscale = around.normalize_weight_backward(dw, p["weight"], p["scale"], centered)
        return Gradients(dx, {"weight": dweight, "scale": dscale})

    def bounds(p: Parameters) -> Array:
        return _terms(kernels({name: _rounded(p[name]) for name in ("weight", "scale")}))

    def backward_magnitudes(dy: Array, x: Array, p: Parameters, _training: bool) -> Gradients:
        _, dw = around.convolve_backward(dy, x, kernels(p))
        dx, terms = around.convolve_backward(np.abs(dy), np.abs(x), bounds(p))
        rounded: Any = Rounded(dw, terms)
        found = around.normalize_weight_backward(rounded, _rounded(p["weight"]), _rounded(p["scale"]), centered)
        return Gradients(dx, dict(zip(("weight", "scale"), map(_terms, found), strict=True)))

    return Definition(
        forward=lambda x, p, _training: around.convolve(x, kernels(p)),
        backward=backward,
        forward_magnitudes=lambda x, p, _training: around.convolve(np.abs(x), bounds(p)),
        backward_magnitudes=backward_magnitudes,
        parameters=lambda shape: {"weight": (outputs, shape[1], 3, 3), "scale": (outputs,)},
        summed=lambda shape: max(9 * max(shape[1], outputs), _shared(shape)),
        initial=lambda _shape: {},
    )


def dropout(probability: float) -> Definition:
    """Dropout; its `mask` is among the parameters."""

    def forward(x: Array, p: Parameters, training: bool) -> Array:
        return around.dropout(x, p["mask"], probability) if training else x

    def backward(dy: Array, _x: Array, p: Parameters, training: bool) -> Gradients:
        return Gradients(around.dropout_backward(dy, p["mask"], probability) if training else dy, {})

    return Definition(
        forward,
        backward,
        forward_magnitudes=lambda x, p, training: np.abs(forward(x, p, training)),
        backward_magnitudes=lambda dy, x, p, training: Gradients(np.abs(backward(dy, x, p, training).x), {}),
        parameters=lambda _shape: {},
        summed=lambda _shape: 1,
        train_eval_differ=True,
    )


def _affine(gradients: tuple[Array, Array, Array]) -> Gradients:
    dx, dgamma, dbeta = gradients
    return Gradients(dx, {"weight": dgamma, "bias": dbeta})


def _scaled(magnitude: Array, p: Parameters) -> Array:
    return magnitudes.scaled(magnitude, p["weight"], p["bias"])


def _running(statistics: tuple[Array, Array]) -> Parameters:
    return dict(zip(RUNNING, statistics, strict=True))


def _shared(shape: Shape) -> int:
    """N · H · W: the values that share one γ and one β."""
    return prod(shape) // shape[1]
