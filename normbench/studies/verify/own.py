"""A norm of the author's own against a float64 function that says what it should compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

from normbench.errors import UsageError
from normbench.norms import imported, resolve_norm
from normbench.reference import Array, Parameters
from normbench.studies.verify.cases import Case
from normbench.studies.verify.modules import DTYPES, LAYOUTS, Answer, Setting, forward_backward, prepared, state
from normbench.studies.verify.slope import slope
from normbench.studies.verify.verdict import (
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

Reference = Callable[[Array, dict[str, Array], bool], Array]
CONTRACT = (
    "A reference is f(x, parameters, training) -> y, with x a float64 array (N, C, H, W), parameters a dict of the "
    "module's parameters and buffers by name, training a bool, and y an array like x."
)
DIRECTIONS = 3


def verify_own(norm: str, reference: str | None, cases: Sequence[Case]) -> Verified:
    """Compare the module of `norm` with the function `reference`, both spelt file.py:name.

    Forward is compared as it stands. Gradients have no formula here: the module in float64 is compared with finite
    differences of the function, along random directions of the input and of each parameter.

    Raises:
        UsageError: There is no reference, or norm or reference cannot be imported or fail.
    """
    if reference is None:
        raise UsageError(
            f"{norm} is a norm of your own, and normbench has no definition of it",
            f"Write one in NumPy and add --reference file.py:function. {CONTRACT}",
        )
    own = _Own(norm, imported(reference, "reference"), reference)
    checks: list[Check] = []
    refused = 0
    for case in cases:
        settings = [Setting(case, precision, layout) for precision in DTYPES for layout in LAYOUTS]
        found = [own.checks(setting, training) for setting in settings for training in (True, False)]
        refused += any(one is None for one in found)
        checks += [check for one in found if one is not None for check in one]
    return Verified(norm, len(cases), refused, tuple(checks), (), _notes(checks))


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
class _Own:
    """The norm and its reference."""

    norm: str
    reference: Reference
    name: str
    """Of the reference."""

    def checks(self, setting: Setting, training: bool) -> list[Check] | None:
        """One module on one input; None where it refuses an input of single values, which a norm may."""
        case = setting.case
        module = prepared(resolve_norm(self.norm).make(case.shape[1]), case).to(DTYPES[setting.precision])
        parameters = state(module.train(training))
        try:
            answer = forward_backward(module, setting.tensor(case.steps[0]), case)
        except Exception as error:
            if isinstance(error, ValueError) and case.kind == "one value":
                return None
            raise UsageError(f"norm '{self.norm}' failed on {setting.words(training)}: {error}") from error
        moved = self._moved(module, setting) if setting.is_exact else answer
        trial = _Trial(self, setting, training, parameters, answer, moved)
        return [trial.forward(), *(trial.gradients() if setting.is_exact else [])]

    @staticmethod
    def _moved(module: nn.Module, setting: Setting) -> Answer:
        """What the module answers if every value of the input moves by one rounding."""
        case = setting.case
        return forward_backward(module, setting.tensor(one_rounding(case.steps[0], case, setting.precision)), case)

    def evaluate(self, x: Array, parameters: Parameters, training: bool) -> Array:
        try:
            y = np.asarray(self.reference(x.copy(), {name: v.copy() for name, v in parameters.items()}, training))
        except Exception as error:
            raise UsageError(f"reference '{self.name}' failed: {type(error).__name__}: {error}", CONTRACT) from error
        if y.shape != x.shape or y.dtype.kind not in "fiu":
            raise UsageError(
                f"reference '{self.name}' returned {y.dtype} {y.shape} for an input of shape {x.shape}", CONTRACT
            )
        return y.astype(np.float64)


@dataclass(frozen=True)
class _Trial:
    """What the module answered, in one setting and mode."""

    own: _Own
    setting: Setting
    training: bool
    parameters: Parameters
    answer: Answer
    moved: Answer
    """To an input of which every value has moved by one rounding."""

    @property
    def x(self) -> Array:
        """The input."""
        return self.setting.case.steps[0]

    def forward(self) -> Check:
        """Y against the reference's."""
        expected = self._reference(self.x, self.parameters)
        errors = compare(self.answer.y, expected, np.full_like(expected, self._terms(expected)))
        return self._check("forward", errors, bound_of(self.setting.precision, self.x.size))

    def gradients(self) -> list[Check]:
        """Those of x and of each parameter against differences of the reference."""
        found = (self.answer.dx, self.moved.dx)
        checks = [self._slope("input gradient", found, self.x, lambda at: self._loss(at, self.parameters))]
        for name, gradient in self.answer.parameters.items():
            loss = partial(self._loss_of_parameter, name)
            found = (gradient, self.moved.parameters[name])
            checks.append(self._slope("parameter gradients", found, self.parameters[name], loss))
        return checks

    def _loss(self, x: Array, parameters: Parameters) -> float:
        return float((self.answer.dy * self._reference(x, parameters)).sum())

    def _loss_of_parameter(self, name: str, value: Array) -> float:
        return self._loss(self.x, {**self.parameters, name: value})

    def _terms(self, y: Array) -> float:
        """What forward's errors are measured by: y, and how far the rounding of its inputs may move it.

        No formula is known here to sum up the terms of, but where terms cancel the result moves. x and each parameter
        are moved on their own, so that what one does to the result does not make up for what another does.
        """
        case, precision = self.setting.case, self.setting.precision
        others = [self._reference(one_rounding(self.x, case, precision), self.parameters)]
        for name, value in self.parameters.items():
            others.append(self._reference(self.x, {**self.parameters, name: one_rounding(value, case, precision)}))
        moved = np.sum([np.abs(other - y) for other in others], axis=0)
        return float(np.abs(y).max()) + float(moved.max()) / ROUNDING[precision]

    def _slope(
        self, quantity: Quantity, gradients: tuple[Array, Array], at: Array, loss: Callable[[Array], float]
    ) -> Check:
        """The gradient along random directions against differences, the worst of them.

        `gradients`: at the input, and at one that has moved by a rounding, which tells how far to trust the first.
        """
        y = self._reference(self.x, self.parameters)
        noise = ROUNDING["float64"] * self._terms(y) * float(np.abs(self.answer.dy).sum())
        rounding = bound_of("float64", self.x.size) * moves(*gradients, "float64")
        chance, checks = self.setting.case.chance(4), []
        for _ in range(DIRECTIONS):
            along = chance.standard_normal(at.shape)
            expected = slope(loss, at, np.asarray(along), noise)
            terms = float(np.abs(gradients[0] * along).sum()) or 1.0
            off = abs(float((gradients[0] * along).sum()) - expected.value) / terms
            bound = (expected.uncertainty + rounding * float(np.abs(along).sum())) / terms
            checks.append(self._check(quantity, Errors(off, off, 1.0), bound))
        return max(checks, key=badness)

    def _check(self, quantity: Quantity, errors: Errors, bound: float) -> Check:
        return self.setting.check(self.setting.words(self.training), quantity, errors, bound)

    def _reference(self, x: Array, parameters: Parameters) -> Array:
        return self.own.evaluate(x, parameters, self.training)


def one_rounding(values: Array, case: Case, precision: Precision) -> Array:
    """Every value moved up or down by the largest relative error of a rounding."""
    signs = case.chance(3).choice([-1.0, 1.0], size=values.shape)
    return np.asarray(values * (1 + ROUNDING[precision] * signs))


def moves(values: Array, moved: Array, precision: Precision) -> float:
    """The largest of some values, and the most that one moves, in units of a rounding."""
    return float(np.abs(values).max()) + float(np.abs(moved - values).max()) / ROUNDING[precision]
