"""A norm of the author's own against a float64 function that says what it should compute."""

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
    Verified,
    badness,
    bound_of,
    compare,
)
from normbench.studies.verify.finite_differences import FEW_STEPS, STEPS, slope
from normbench.studies.verify.modules import (
    DTYPES,
    INPUT_GRADIENT,
    Answer,
    Setting,
    aliases,
    copied,
    forward_backward,
    gradient_of,
    materialized,
    prepared,
    running,
    settings,
    whole_state,
)
from normbench.studies.verify.one_pass import OnePassWatch, allowance

Reference = Callable[[Array, dict[str, Array], bool], Any]
CONTRACT = (
    "A reference is f(x, parameters, training) -> y, with x a float64 array (N, C, H, W), parameters a dict of the "
    "module's parameters and buffers by name, training a bool, and y an array like x. To have buffers compared, too, "
    "it returns (y, buffers): a dict of those that a step leaves behind. Arguments of the norm that it names among its "
    "parameters it gets by name."
)
DIRECTIONS = 2
INITIAL_VALUES = "initial values"


def verify_custom(norm: str, reference: str | None, cases: Sequence[Case]) -> Verified:
    """Compare the module of `norm` with the function `reference`, both spelt file.py:name.

    Forward, and the buffers where the function returns them, are compared as they stand. Gradients have no formula
    here: the module in float64 is compared with finite differences of the function, along directions of the input and
    of each parameter, and the module in the other settings with itself in float64, value by value.

    Raises:
        UsageError: There is no reference, or norm or reference cannot be imported or fail.
    """
    if reference is None:
        Norm.parse(norm)  # a name that does not exist is the first thing to tell of
        raise UsageError(
            f"{norm} is {'a norm of your own' if is_custom(norm) else 'a norm without a reference definition'}, and "
            "normbench has no definition of it",
            f"Write one in NumPy and add --reference file.py:function. {CONTRACT}",
        )
    function = import_attribute(reference, "reference")
    known = list(Signature.of(function).parameters)[2:]  # behind x, parameters and training
    arguments = {name: value for name, value in Norm.parse(norm).arguments.items() if name in known}
    own = _Own(norm, partial(function, **arguments) if arguments else function, reference)
    not_built: dict[int, UsageError] = {}
    trials = [trial.run() for case in cases for trial in own.trials(case, not_built)]
    if not trials:
        raise next(iter(not_built.values()))
    checks = [check for trial in trials for check in trial.checks]
    problems = dict.fromkeys(problem for trial in trials for problem in trial.problems)
    refused = {trial.case.seed for trial in trials if trial.refused}
    left_out = dict.fromkeys(name for trial in trials for name in trial.not_compared)
    return Verified(
        norm,
        len(cases),
        len(refused),
        tuple(checks),
        tuple(problems),
        _notes(checks),
        not_compared=tuple(left_out),
        not_built=tuple(sorted(not_built)),
    )


def _notes(checks: list[Check]) -> tuple[str, ...]:
    """What a failure looks like, if it looks like something."""
    failed = [check for check in checks if not check.passed]
    as_float32 = ROUNDING["float32"] / ROUNDING["float64"]
    inside = [check for check in failed if check.precision == "float64" and check.error <= as_float32 * check.bound]
    if failed and len(inside) == len(failed) and any(check.quantity == "forward" for check in inside):
        return (
            "All failures are in float64, and no larger than float32 explains: it seems to cast to float32 inside.",
        )
    return ()


@dataclass(frozen=True)
class _Result:
    """The reference's results: y, and the buffers that it returns."""

    y: Array
    buffers: dict[str, Array]

    def arrays(self) -> dict[str, Array]:
        """All of them by name."""
        return {"y": self.y, **self.buffers}


@dataclass(frozen=True)
class _Own:
    """The norm and its reference."""

    norm: str
    reference: Reference
    name: str
    """Of the reference."""

    def trials(self, case: Case, not_built: dict[int, UsageError]) -> "list[_Trial]":
        """A case in every precision and layout; none where the norm cannot be built for so few or odd channels."""
        oracle = _Oracle(self, case)
        try:
            return [_Trial(self, oracle, setting) for setting in settings(case)]
        except UsageError as error:
            not_built[case.shape[1]] = error
            return []

    def make(self, case: Case) -> nn.Module:
        """The module as it begins."""
        return materialized(Norm.parse(self.norm, case.groups).make(case.shape[1]), case)

    def evaluate(self, x: Array, parameters: Parameters, training: bool) -> _Result:
        """Call the reference with copies, and check what it returns."""
        try:
            answer = self.reference(x.copy(), {name: value.copy() for name, value in parameters.items()}, training)
        except Exception as error:
            raise UsageError(f"reference '{self.name}' failed: {type(error).__name__}: {error}", CONTRACT) from error
        y, buffers = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, {})
        if not isinstance(buffers, Mapping):
            raise UsageError(
                f"reference '{self.name}' returned {type(buffers).__name__} beside y, not a dict", CONTRACT
            )
        unknown = [name for name in buffers if name not in parameters]
        if unknown:
            raise UsageError(
                f"reference '{self.name}' returned {', '.join(map(repr, unknown))}, which the norm does not have",
                f"It has {', '.join(parameters) or 'no parameters or buffers'}.",
            )
        shapes = {name: value.shape for name, value in parameters.items()}
        return _Result(
            self._array(y, x.shape, f"an input of shape {x.shape}"),
            {name: self._array(value, shapes[name], f"{name} {shapes[name]}") for name, value in buffers.items()},
        )

    def _array(self, value: Any, shape: tuple[int, ...], what: str) -> Array:
        array = np.asarray(value)
        if array.shape != shape or array.dtype.kind not in "fiub":
            raise UsageError(f"reference '{self.name}' returned {array.dtype} {array.shape} for {what}", CONTRACT)
        return array.astype(np.float64)

    @property
    def initial(self) -> Mapping[str, Any]:
        """What parameters and buffers begin with, where the reference says so: its attribute `initial`."""
        return getattr(self.reference, "initial", {})


@dataclass(frozen=True)
class _Expected:
    """The reference's results in one step, and what errors are measured by, both by name."""

    result: _Result
    terms: dict[str, float]


class _Oracle:
    """The reference on one case; layouts share its results where parameters and buffers agree."""

    def __init__(self, own: _Own, case: Case) -> None:
        self.own, self.case = own, case
        self.tells: set[str] = set()
        """Buffers that the reference returned in a training step: without a word they stay as they are otherwise."""
        self._known: dict[tuple[int, bool, Precision], tuple[Parameters, _Expected]] = {}

    def __call__(self, step: int, parameters: Parameters, training: bool, precision: Precision) -> _Expected:
        """The results of a step."""
        key = (step, training, precision)
        known = self._known.get(key)
        if known is None or not all(np.array_equal(known[0][name], value) for name, value in parameters.items()):
            result = self.evaluate(self.case.steps[step], parameters, training)
            expected = _Expected(result, self._terms(result, self.case.steps[step], parameters, training, precision))
            known = self._known[key] = (parameters, expected)
        return known[1]

    def evaluate(self, x: Array, parameters: Parameters, training: bool) -> _Result:
        """The reference's results; buffers that only training moves stay in evaluation."""
        result = self.own.evaluate(x, parameters, training)
        if training:
            self.tells |= set(result.buffers)
            return result
        stay = {name: parameters[name] for name in sorted(self.tells)}
        return _Result(result.y, stay | result.buffers)

    def _terms(
        self, result: _Result, x: Array, parameters: Parameters, training: bool, precision: Precision
    ) -> dict[str, float]:
        """The largest of each array, and how far the rounding of the step's inputs may move it.

        No formula is known here to sum up the terms of, but where terms cancel the result moves. x and each parameter
        are moved on their own, so that what one does to the result does not make up for what another does.
        """
        others = [self.evaluate(one_rounding(x, self.case, precision), parameters, training)]
        for name, value in parameters.items():
            others.append(self.evaluate(x, {**parameters, name: one_rounding(value, self.case, precision)}, training))
        moves = [other.arrays() for other in others]
        return {
            name: float(np.abs(array).max())
            + float(np.sum([np.abs(other[name] - array) for other in moves], axis=0).max()) / ROUNDING[precision]
            for name, array in result.arrays().items()
        }


class _Trial:
    """One module in one setting: its training steps, then evaluation on the last input."""

    def __init__(self, own: _Own, oracle: _Oracle, setting: Setting) -> None:
        self.own, self.oracle, self.setting, self.case = own, oracle, setting, setting.case
        self.module = own.make(self.case)
        self.checks: list[Check] = []
        self.problems: list[str] = []
        self.refused = False

    def run(self) -> "_Trial":
        """Step by step; several in the cases of the network, which it must follow as training does."""
        self._initial_values()
        self.module = prepared(self.module, self.case).to(DTYPES[self.setting.precision])
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
        """Buffers, and initial values, that the reference says nothing of."""
        names = [name for name in running(self.module) if name not in self.oracle.tells]
        silent = set(whole_state(self.module, counters=False)) - set(self.own.initial)
        return [*(names if not self.refused else []), *([INITIAL_VALUES] if silent else [])]

    def _initial_values(self) -> None:
        state = whole_state(self.module)
        for name, value in self.own.initial.items():
            if name not in state:
                self.problems.append(f"it has no {name}, which its definition gives an initial value")
                continue
            errors = compare(state[name], np.broadcast_to(np.asarray(value, float), state[name].shape), 1.0)
            if errors.error:
                self.problems.append(
                    f"{name} begins as {errors.got:g} at {list(errors.index)}, not as {errors.expected:g}"
                )

    def _step(self, step: int, *, training: bool, gradients: bool) -> bool:
        """Forward and buffers, and gradients if asked for; False where it refuses single values, which a norm may."""
        words = self.setting.words(training, step + 1 if training else 1)
        before, twin = whole_state(self.module), copied(self.module.train(training)).double()
        try:
            with OnePassWatch() as watch:
                answer = forward_backward(self.module, self.setting.tensor(self.case.steps[step]), self.case, step)
        except Exception as error:
            if isinstance(error, ValueError) and self.case.kind == "single":
                self.refused = True
                return False
            raise UsageError(f"norm '{self.own.norm}' failed on {words}: {error}") from error
        x = self.case.steps[step]
        if answer.y.shape != x.shape:
            self.problems.append(f"{words}: y is of shape {answer.y.shape}, not {x.shape}")
            return False
        compared = _Step(self, step, training, words, before, answer, watch.uncertainty)
        self.checks += compared.results(whole_state(self.module))
        if gradients and self.case.kind != "single":  # there they are nothing but terms that cancel, of unknown size
            self.checks += compared.slopes(twin) if self.setting.is_exact else compared.gradients(twin)
        return True


@dataclass(frozen=True)
class _Step:
    """One step of a module, to be compared."""

    trial: _Trial
    step: int
    training: bool
    words: str
    before: Parameters
    """Parameters and buffers."""
    answer: Answer
    uncertainty: float
    """Of a variance that torch took in one pass, see `one_pass`; 0 if it took none."""

    @property
    def x(self) -> Array:
        """The input."""
        return self.case.steps[self.step]

    @property
    def case(self) -> Case:
        """The case it belongs to."""
        return self.trial.case

    @property
    def precision(self) -> Precision:
        """The module's."""
        return self.trial.setting.precision

    @property
    def bound(self) -> float:
        """As if every value went into one sum, since it is not known which do."""
        return bound_of(self.precision, self.x.size)

    def results(self, after: Parameters) -> list[Check]:
        """Y, and the buffers that the reference returns, against the reference's."""
        expected = self._expected()
        allowed = allowance(self.uncertainty, self.bound, power=0.5)
        checks = [self._against("forward", "y", self.answer.y, expected.result.y, allowed * expected.terms["y"])]
        for name, value in expected.result.buffers.items():
            checks.append(self._against("buffers", name, after[name], value, allowed * expected.terms[name]))
        return checks

    def gradients(self, twin: nn.Module) -> list[Check]:
        """Those of x and of each parameter against the module's own in float64, which others check."""
        right = self._run(twin, self.x)
        moved = [
            self._run(twin, one_rounding(self.x, self.case, self.precision)),
            self._run(_moved(twin, self.case, self.precision), self.x),
        ]
        allowed = allowance(self.uncertainty, self.bound, power=1.5)
        checks = []
        for array, found in self.answer.gradients.items():
            expected = right.gradients[array]
            terms = largest(expected, [other.gradients[array] for other in moved], self.precision)
            if array == INPUT_GRADIENT:
                checks.append(
                    self._against("input gradient", array, found, expected, allowed * max(terms, self._gain()))
                )
            else:
                checks.append(self._against("parameter gradients", array, found, expected, allowed * terms))
        return checks

    def _gain(self) -> float:
        """The size of dL/dx before its parts cancel: dL/dy by how much a norm enlarges x; 0 where that is not known."""
        spread = float(self.x.std())
        return float(np.abs(self.answer.dy).max() * self.answer.y.std()) / spread if spread else 0.0

    def slopes(self, twin: nn.Module) -> list[Check]:
        """Those of x and of each parameter against differences of the reference."""
        moved = self._run(twin, one_rounding(self.x, self.case, self.precision))
        checks = [self._slope("input gradient", INPUT_GRADIENT, (self.answer.dx, moved.dx), self.x, self._loss)]
        same = aliases(twin)
        for name, gradient in self.answer.parameters.items():
            loss = partial(self._loss_of_parameter, same[name])
            found = (gradient, moved.parameters[name])
            checks.append(self._slope("parameter gradients", gradient_of(name), found, self.before[name], loss))
        return checks

    def _slope(
        self,
        quantity: Quantity,
        array: str,
        gradients: tuple[Array, Array],
        at: Array,
        loss: Callable[[Array], float],
    ) -> Check:
        """The gradient along some directions against differences, the worst of them.

        `gradients`: at the input, and at one that has moved by a rounding, which tells how far to trust the first.
        Along its own signs no part of the gradient makes up for another; the other directions are random.
        """
        found, moved = gradients
        noise = ROUNDING["float64"] * self._expected().terms["y"] * float(np.abs(self.answer.dy).sum())
        rounding = bound_of("float64", self.x.size) * largest(found, [moved], "float64")
        rng, checks = self.case.chance(4), []
        directions = [np.sign(found), *(rng.standard_normal(at.shape) for _ in range(DIRECTIONS - 1))]
        if self.case.of_network:
            directions = directions[: 1 if found.any() else 2]
        for along in (direction for direction in directions if np.any(direction)):
            expected = slope(loss, at, np.asarray(along), noise, FEW_STEPS if self.case.of_network else STEPS)
            got, terms = float((found * along).sum()), float(np.abs(found * along).sum()) or 1.0
            off = abs(got - expected.value) / terms
            bound = (expected.uncertainty + rounding * float(np.abs(along).sum())) / terms
            errors = Errors(off, off, 1.0, got, expected.value, ())
            checks.append(self.trial.setting.check(self.words, quantity, array, errors, bound))
        return max(checks, key=badness)

    def _expected(self) -> _Expected:
        return self.trial.oracle(self.step, self.before, self.training, self.precision)

    def _loss(self, x: Array, parameters: Parameters | None = None) -> float:
        result = self.trial.own.evaluate(x, self.before if parameters is None else parameters, self.training)
        return float((self.answer.dy * result.y).sum())

    def _loss_of_parameter(self, names: Sequence[str], value: Array) -> float:
        return self._loss(self.x, {**self.before, **dict.fromkeys(names, value)})

    def _run(self, twin: nn.Module, x: Array) -> Answer:
        """A copy of the module as it was before the step, in float64 and contiguous."""
        exact = Setting(self.case, "float64", "contiguous")
        return forward_backward(copied(twin), exact.tensor(x), self.case, self.step)

    def _against(self, quantity: Quantity, array: str, found: Array, expected: Array, terms: float) -> Check:
        return self.trial.setting.check(self.words, quantity, array, compare(found, expected, terms), self.bound)


def _moved(module: nn.Module, case: Case, precision: Precision) -> nn.Module:
    """A copy of which every parameter and buffer has moved by one rounding."""
    moved = copied(module)
    for tensor in (*moved.parameters(), *moved.buffers()):
        if tensor.is_floating_point():
            values = one_rounding(tensor.detach().numpy(), case, precision)
            tensor.data.copy_(torch.from_numpy(values))
    return moved


def one_rounding(values: Array, case: Case, precision: Precision) -> Array:
    """Every value moved up or down by the largest relative error of a rounding."""
    signs = case.chance(3).choice([-1.0, 1.0], size=values.shape)
    return np.asarray(values * (1 + ROUNDING[precision] * signs))


def largest(values: Array, moved: Sequence[Array], precision: Precision) -> float:
    """The largest of some values, and the most that one moves, in units of a rounding."""
    moves = sum(float(np.abs(other - values).max()) for other in moved)
    return float(np.abs(values).max()) + moves / ROUNDING[precision]
