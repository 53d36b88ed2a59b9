"""Verification of a custom norm against a reference. The reference is a float64 function of the user."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from normbench.custom_code import import_attribute
from normbench.errors import UsageError
from normbench.norms import Norm, is_custom
from normbench.norms.arguments import Signature
from normbench.reference import Array, Parameters
from normbench.studies.verify.cases import Case
from normbench.studies.verify.checks import (
    ROUNDING,
    Check,
    Errors,
    Precision,
    Quantity,
    Verification,
    bound_of,
    compare,
    severity,
)
from normbench.studies.verify.finite_differences import FEW_STEPS, STEPS, directional_derivative
from normbench.studies.verify.modules import (
    DTYPES,
    INPUT_GRADIENT,
    ModuleOutput,
    Setting,
    aliases,
    copied,
    forward_backward,
    gradient_of,
    materialized,
    randomized,
    running,
    settings,
    whole_state,
)
from normbench.studies.verify.one_pass import OnePassWatch, allowance

Reference = Callable[[Array, dict[str, Array], bool], Any]
CONTRACT = (
    "A reference is f(x, parameters, training) -> y, with x a float64 array (N, C, H, W), parameters a dict of the "
    "module's parameters and buffers by name, training a bool, and y an array like x. To have buffers compared, return "
    "(y, buffers), a dict of their values after the step. Further parameters of the function receive the norm's "
    "arguments of these names."
)
DIRECTIONS = 2
INITIAL_VALUES = "initial values"


def verify_custom(norm: str, reference: str | None, cases: Sequence[Case]) -> Verification:
    """Compare the module of `norm` with the function `reference`, both given as file.py:name.

    Outputs, and buffers if the function returns them, are compared directly. Gradients have no formula here: those of
    the module in float64 are compared with finite differences of the function, along directions of the input and of
    each parameter; those in the other settings with the ones in float64, value by value.

    Raises:
        UsageError: There is no reference, or norm or reference cannot be imported or fails.
    """
    if reference is None:
        Norm.parse(norm)  # report an unknown name before a missing reference
        raise UsageError(
            f"{norm} is {'a custom norm' if is_custom(norm) else 'a norm without a reference definition'}, and "
            "normbench has no definition of it",
            f"Write one in NumPy and add --reference file.py:function. {CONTRACT}",
        )
    function = import_attribute(reference, "reference")
    accepted = list(Signature.of(function).parameters)[2:]  # after x, parameters and training
    arguments = {name: value for name, value in Norm.parse(norm).arguments.items() if name in accepted}
    custom = _CustomNorm(norm, partial(function, **arguments) if arguments else function, reference)
    not_built: dict[int, UsageError] = {}
    trials = [trial.run() for case in cases for trial in custom.trials(case, not_built)]
    if not trials:
        raise next(iter(not_built.values()))
    checks = [check for trial in trials for check in trial.checks]
    problems = dict.fromkeys(problem for trial in trials for problem in trial.problems)
    refused = {trial.case.seed for trial in trials if trial.refused}
    not_compared = dict.fromkeys(name for trial in trials for name in trial.not_compared)
    return Verification(
        norm,
        len(cases),
        len(refused),
        tuple(checks),
        tuple(problems),
        _notes(checks),
        not_compared=tuple(not_compared),
        not_built=tuple(sorted(not_built)),
    )


def _notes(checks: list[Check]) -> tuple[str, ...]:
    """Explain failures that have a typical pattern: a computation in float32."""
    failed = [check for check in checks if not check.passed]
    as_float32 = ROUNDING["float32"] / ROUNDING["float64"]
    explained = [check for check in failed if check.precision == "float64" and check.error <= as_float32 * check.bound]
    if failed and len(explained) == len(failed) and any(check.quantity == "forward" for check in explained):
        return ("All failures are in float64, and within the bounds of float32: it seems to compute in float32.",)
    return ()


@dataclass(frozen=True)
class _Result:
    """Results of the reference: y, and the buffers that it returns."""

    y: Array
    buffers: dict[str, Array]

    def arrays(self) -> dict[str, Array]:
        """Return all of them by name."""
        return {"y": self.y, **self.buffers}


@dataclass(frozen=True)
class _CustomNorm:
    """Custom norm with its reference."""

    norm: str
    reference: Reference
    reference_name: str

    def trials(self, case: Case, not_built: dict[int, UsageError]) -> "list[_Trial]":
        """Set up a case in every precision and layout; none if the norm cannot be built for these channels."""
        oracle = _Oracle(self, case)
        try:
            return [_Trial(self, oracle, setting) for setting in settings(case)]
        except UsageError as error:
            not_built[case.shape[1]] = error
            return []

    def make(self, case: Case) -> nn.Module:
        """Build the module, with its initial values."""
        return materialized(Norm.parse(self.norm, case.groups).make(case.shape[1]), case)

    def evaluate(self, x: Array, parameters: Parameters, training: bool) -> _Result:
        """Call the reference with copies, and check its results."""
        try:
            returned = self.reference(x.copy(), {name: value.copy() for name, value in parameters.items()}, training)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"reference '{self.reference_name}' failed: {type(error).__name__}: {error}", CONTRACT
            ) from error
        y, buffers = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, {})
        if not isinstance(buffers, Mapping):
            raise UsageError(
                f"reference '{self.reference_name}' returned {type(buffers).__name__} beside y, not a dict", CONTRACT
            )
        if unknown := [name for name in buffers if name not in parameters]:
            names = ", ".join(map(repr, unknown))
            raise UsageError(
                f"reference '{self.reference_name}' returned {names}, which the norm does not have",
                f"It has {', '.join(parameters) or 'no parameters or buffers'}.",
            )
        shapes = {name: value.shape for name, value in parameters.items()}
        return _Result(
            self._array(y, x.shape, f"an input of shape {x.shape}"),
            {name: self._array(value, shapes[name], f"{name} {shapes[name]}") for name, value in buffers.items()},
        )

    def _array(self, value: Any, shape: tuple[int, ...], purpose: str) -> Array:
        array = np.asarray(value)
        if array.shape != shape or array.dtype.kind not in "fiub":
            raise UsageError(
                f"reference '{self.reference_name}' returned {array.dtype} {array.shape} for {purpose}", CONTRACT
            )
        return array.astype(np.float64)

    @property
    def initial(self) -> Mapping[str, Any]:
        """Initial values of parameters and buffers, from the attribute `initial` of the reference."""
        return getattr(self.reference, "initial", {})


@dataclass(frozen=True)
class _Expected:
    """Results of the reference in one step, and the terms that errors are relative to, both by name."""

    result: _Result
    terms: dict[str, float]


class _Oracle:
    """Reference on one case; layouts share its results if parameters and buffers are equal."""

    def __init__(self, custom: _CustomNorm, case: Case) -> None:
        self.custom, self.case = custom, case
        self.returned: set[str] = set()
        """Buffers that the reference returned in a training step; in evaluation they stay unchanged by default."""
        self._cache: dict[tuple[int, bool, Precision], tuple[Parameters, _Expected]] = {}

    def __call__(self, step: int, parameters: Parameters, training: bool, precision: Precision) -> _Expected:
        """Compute the results of a step."""
        key = (step, training, precision)
        cached = self._cache.get(key)
        if cached is None or not all(np.array_equal(cached[0][name], value) for name, value in parameters.items()):
            result = self.evaluate(self.case.steps[step], parameters, training)
            expected = _Expected(result, self._terms(result, self.case.steps[step], parameters, training, precision))
            cached = self._cache[key] = (parameters, expected)
        return cached[1]

    def evaluate(self, x: Array, parameters: Parameters, training: bool) -> _Result:
        """Call the reference; buffers that only training changes stay in evaluation."""
        result = self.custom.evaluate(x, parameters, training)
        if training:
            self.returned |= set(result.buffers)
            return result
        unchanged = {name: parameters[name] for name in sorted(self.returned)}
        return _Result(result.y, unchanged | result.buffers)

    def _terms(
        self, result: _Result, x: Array, parameters: Parameters, training: bool, precision: Precision
    ) -> dict[str, float]:
        """Sum the largest value of each array and the change that a rounding of the inputs may cause, in roundings.

        The terms of the formula are unknown here, but if they cancel, the result is sensitive to its inputs. x and each
        parameter are changed separately, so that their effects do not compensate each other.
        """
        changed = [self.evaluate(one_rounding(x, self.case, precision), parameters, training)]
        for name, value in parameters.items():
            changed.append(self.evaluate(x, {**parameters, name: one_rounding(value, self.case, precision)}, training))
        others = [other.arrays() for other in changed]
        return {
            name: float(np.abs(array).max())
            + float(np.sum([np.abs(other[name] - array) for other in others], axis=0).max()) / ROUNDING[precision]
            for name, array in result.arrays().items()
        }


class _Trial:
    """One module in one setting: its training steps, then evaluation on the last input."""

    def __init__(self, custom: _CustomNorm, oracle: _Oracle, setting: Setting) -> None:
        self.custom, self.oracle, self.setting, self.case = custom, oracle, setting, setting.case
        self.module = custom.make(self.case)
        self.checks: list[Check] = []
        self.problems: list[str] = []
        self.refused = False

    def run(self) -> "_Trial":
        """Take one training step, several in the cases of the network, as in training; then evaluate."""
        self._check_initial_values()
        self.module = randomized(self.module, self.case).to(DTYPES[self.setting.precision])
        steps = len(self.case.steps) if self.case.of_network else 1
        for step in range(steps):
            if not self._step(
                step, training=True, gradients=step == steps - 1 or (step == 0 and not self.setting.is_exact)
            ):
                break
        self._step(steps - 1, training=False, gradients=True)
        return self

    @property
    def not_compared(self) -> list[str]:
        """Buffers, and initial values, that the reference does not specify."""
        buffers = [name for name in running(self.module) if name not in self.oracle.returned]
        without_initial = set(whole_state(self.module, counters=False)) - set(self.custom.initial)
        return [*(buffers if not self.refused else []), *([INITIAL_VALUES] if without_initial else [])]

    def _check_initial_values(self) -> None:
        state = whole_state(self.module)
        for name, value in self.custom.initial.items():
            if name not in state:
                self.problems.append(f"it has no {name}, for which its reference has an initial value")
                continue
            errors = compare(state[name], np.broadcast_to(np.asarray(value, float), state[name].shape), 1.0)
            if errors.error:
                index = list(errors.index)
                self.problems.append(f"initial value of {name}{index} is {errors.got:g}, not {errors.expected:g}")

    def _step(self, step: int, *, training: bool, gradients: bool) -> bool:
        """Compare output, buffers and optionally gradients; return False if the step gave nothing to compare.

        A norm may refuse single values.
        """
        where = self.setting.describe(training, step + 1 if training else 1)
        before, in_float64 = whole_state(self.module), copied(self.module.train(training)).double()
        try:
            with OnePassWatch() as watch:
                output = forward_backward(self.module, self.setting.tensor(self.case.steps[step]), self.case, step)
        except (Exception, SystemExit) as error:
            if isinstance(error, ValueError) and self.case.kind == "single":
                self.refused = True
                return False
            raise UsageError(f"norm '{self.custom.norm}' failed on {where}: {type(error).__name__}: {error}") from error
        x = self.case.steps[step]
        if output.y.shape != x.shape:
            self.problems.append(f"{where}: y has shape {output.y.shape}, not {x.shape}")
            return False
        comparison = _StepComparison(self, step, training, where, before, output, watch.uncertainty)
        self.checks += comparison.results(whole_state(self.module))
        if gradients and self.case.kind != "single":  # there they consist of terms of unknown size that cancel
            self.checks += (
                comparison.gradients_by_finite_differences(in_float64)
                if self.setting.is_exact
                else comparison.gradients_by_precision(in_float64)
            )
        return True


@dataclass(frozen=True)
class _StepComparison:
    """Comparison of one step of a module."""

    trial: _Trial
    step: int
    training: bool
    where: str
    before: Parameters
    """Parameters and buffers before the step."""
    output: ModuleOutput
    uncertainty: float
    """Uncertainty of a variance that torch computed in one pass, see `one_pass`; 0 for none."""

    @property
    def x(self) -> Array:
        """Input of the step."""
        return self.case.steps[self.step]

    @property
    def case(self) -> Case:
        """Case of the step."""
        return self.trial.case

    @property
    def precision(self) -> Precision:
        """Precision of the module."""
        return self.trial.setting.precision

    @property
    def bound(self) -> float:
        """Bound as if all values were in one sum, as it is unknown which are."""
        return bound_of(self.precision, self.x.size)

    def results(self, after: Parameters) -> list[Check]:
        """Compare y, and the buffers that the reference returns, with those of the reference."""
        expected = self._expected()
        allowed = allowance(self.uncertainty, self.bound, power=0.5)
        checks = [self._compare("forward", "y", self.output.y, expected.result.y, allowed * expected.terms["y"])]
        for name, value in expected.result.buffers.items():
            checks.append(self._compare("buffers", name, after[name], value, allowed * expected.terms[name]))
        return checks

    def gradients_by_precision(self, in_float64: nn.Module) -> list[Check]:
        """Compare the gradients with those of the module in float64, which finite differences check."""
        reference = self._run(in_float64, self.x)
        changed = [
            self._run(in_float64, one_rounding(self.x, self.case, self.precision)),
            self._run(_with_roundings(in_float64, self.case, self.precision), self.x),
        ]
        allowed = allowance(self.uncertainty, self.bound, power=1.5)
        checks = []
        for array, got in self.output.gradients.items():
            expected = reference.gradients[array]
            terms = magnitude(expected, [other.gradients[array] for other in changed], self.precision)
            quantity: Quantity = "parameter gradients"
            if array == INPUT_GRADIENT:
                quantity, terms = "input gradient", max(terms, self._gradient_before_cancellation())
            checks.append(self._compare(quantity, array, got, expected, allowed * terms))
        return checks

    def _gradient_before_cancellation(self) -> float:
        """Size of dL/dx before its parts cancel: dL/dy times the gain of the norm; 0 if the gain is unknown."""
        spread = float(self.x.std())
        return float(np.abs(self.output.dy).max() * self.output.y.std()) / spread if spread else 0.0

    def gradients_by_finite_differences(self, in_float64: nn.Module) -> list[Check]:
        """Compare the gradients with finite differences of the reference."""
        changed = self._run(in_float64, one_rounding(self.x, self.case, self.precision))
        gradients = (self.output.dx, changed.dx)
        checks = [self._differentiate("input gradient", INPUT_GRADIENT, gradients, self.x, self._loss)]
        names = aliases(in_float64)
        for name, gradient in self.output.parameters.items():
            loss = partial(self._loss_of_parameter, names[name])
            gradients = (gradient, changed.parameters[name])
            checks.append(
                self._differentiate("parameter gradients", gradient_of(name), gradients, self.before[name], loss)
            )
        return checks

    def _differentiate(
        self,
        quantity: Quantity,
        array: str,
        gradients: tuple[Array, Array],
        at: Array,
        loss: Callable[[Array], float],
    ) -> Check:
        """Compare the gradient along some directions with finite differences; return the worst comparison.

        `gradients` are those at the input and at one changed by a rounding, whose difference limits the accuracy. Along
        the signs of the gradient its parts cannot compensate each other; the other directions are random.
        """
        gradient, changed = gradients
        noise = ROUNDING["float64"] * self._expected().terms["y"] * float(np.abs(self.output.dy).sum())
        rounding = bound_of("float64", self.x.size) * magnitude(gradient, [changed], "float64")
        rng, checks = self.case.rng(4), []
        directions = [np.sign(gradient), *(rng.standard_normal(at.shape) for _ in range(DIRECTIONS - 1))]
        if self.case.of_network:
            directions = directions[: 1 if gradient.any() else 2]
        for along in (direction for direction in directions if np.any(direction)):
            halvings = FEW_STEPS if self.case.of_network else STEPS
            expected = directional_derivative(loss, at, np.asarray(along), noise, halvings)
            got, terms = float((gradient * along).sum()), float(np.abs(gradient * along).sum()) or 1.0
            error = abs(got - expected.value) / terms
            bound = (expected.uncertainty + rounding * float(np.abs(along).sum())) / terms
            errors = Errors(error, error, 1.0, got, expected.value, ())
            checks.append(self.trial.setting.check(self.where, quantity, array, errors, bound))
        return max(checks, key=severity)

    def _expected(self) -> _Expected:
        return self.trial.oracle(self.step, self.before, self.training, self.precision)

    def _loss(self, x: Array, parameters: Parameters | None = None) -> float:
        result = self.trial.custom.evaluate(x, self.before if parameters is None else parameters, self.training)
        return float((self.output.dy * result.y).sum())

    def _loss_of_parameter(self, names: Sequence[str], value: Array) -> float:
        return self._loss(self.x, {**self.before, **dict.fromkeys(names, value)})

    def _run(self, in_float64: nn.Module, x: Array) -> ModuleOutput:
        """Run a copy of the module from before the step, in float64 and contiguous."""
        exact = Setting(self.case, "float64", "contiguous")
        return forward_backward(copied(in_float64), exact.tensor(x), self.case, self.step)

    def _compare(self, quantity: Quantity, array: str, got: Array, expected: Array, terms: float) -> Check:
        return self.trial.setting.check(self.where, quantity, array, compare(got, expected, terms), self.bound)


def _with_roundings(module: nn.Module, case: Case, precision: Precision) -> nn.Module:
    """Copy a module, and change every parameter and buffer by one rounding."""
    changed = copied(module)
    for tensor in (*changed.parameters(), *changed.buffers()):
        if tensor.is_floating_point():
            values = one_rounding(tensor.detach().numpy(), case, precision)
            tensor.data.copy_(torch.from_numpy(values))
    return changed


def one_rounding(values: Array, case: Case, precision: Precision) -> Array:
    """Change every value up or down by the largest relative error of a rounding."""
    signs = case.rng(3).choice([-1.0, 1.0], size=values.shape)
    return np.asarray(values * (1 + ROUNDING[precision] * signs))


def magnitude(values: Array, changed: Sequence[Array], precision: Precision) -> float:
    """Add the largest value and the largest changes in the other arrays, in units of a rounding."""
    changes = sum(float(np.abs(other - values).max()) for other in changed)
    return float(np.abs(values).max()) + changes / ROUNDING[precision]
