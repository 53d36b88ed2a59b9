"""Verification of built-in norms, step by step. Weight standardization and dropout are among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from normbench.config.norm_names import (
    CENTERED_WEIGHT_NORMALIZATION,
    WEIGHT_NORMALIZATION,
    WEIGHT_STANDARDIZATION,
    NormName,
)
from normbench.errors import UsageError
from normbench.norms import NORMS, Norm
from normbench.norms.weights import WEIGHTS
from normbench.reference import (
    Array,
    Definition,
    Gradients,
    Parameters,
    definition,
    dropout,
    has_definition,
    normalized_convolution,
    standardized_convolution,
)
from normbench.studies.verify.cases import Case
from normbench.studies.verify.checks import Check, Quantity, Verification, bound_of, compare
from normbench.studies.verify.modules import (
    DTYPES,
    INPUT_GRADIENT,
    ModuleOutput,
    Setting,
    counters,
    forward_backward,
    gradient_of,
    late,
    materialized,
    numpy,
    randomized,
    running,
    settings,
    state,
)

DROPOUT = 0.3
KERNELS = 6
CONVOLUTION_IMAGES = 8
"""Images in a case of a convolution: each value is in 54 products, and only gradients are summed over images."""
ONE_PASS = {("gn", "channels last"), ("ln", "channels last")}
"""Norms and layouts for which torch computes the variance as E[x²] - E[x]²: its group norm on the CPU."""


@dataclass(frozen=True)
class Subject:
    """Subject of verification: a module for a case, and its definition."""

    name: str
    make: Callable[[Case], nn.Module]
    define: Callable[[Case, bool], Definition]
    """Takes the case, and True if the module computes its variance as E[x²] - E[x]²."""
    images: int | None = None
    """Largest number of images of a case."""
    defined: bool = True
    """False for a norm of the registry without a definition."""
    base: str = ""
    """Name of a norm without arguments."""


def subjects() -> list[Subject]:
    """List every built-in norm, the convolution of each switch for weights, and dropout."""
    return [
        *(built_in(name) for name in NORMS),
        *(_convolution(switch, define) for switch, define in CONVOLUTIONS.items()),
        Subject("dropout", lambda _case: nn.Dropout(DROPOUT), lambda _case, _one_pass: dropout(DROPOUT)),
    ]


def built_in(name: str) -> Subject:
    """Return a built-in norm, optionally with arguments, which its definition takes as well.

    Raises:
        UsageError: There is no such norm, or an argument does not fit.
    """
    base = NormName.parse(name).base

    def make(case: Case) -> nn.Module:
        return Norm.parse(name, case.groups).make(case.shape[1])

    def define(case: Case, one_pass: bool) -> Definition:
        return definition(base, Norm.parse(name, case.groups).arguments, one_pass=one_pass)

    return Subject(Norm.parse(name).name, make, define, defined=has_definition(base), base=base)


CONVOLUTIONS: dict[str, Callable[[int], Definition]] = {
    WEIGHT_STANDARDIZATION: standardized_convolution,
    WEIGHT_NORMALIZATION: partial(normalized_convolution, centered=False),
    CENTERED_WEIGHT_NORMALIZATION: partial(normalized_convolution, centered=True),
}
"""Definitions of the convolutions with treated weights, by the number of their channels."""


def _convolution(switch: str, define: Callable[[int], Definition]) -> Subject:
    def make(case: Case) -> nn.Module:
        return WEIGHTS[switch].convolution()(case.shape[1], KERNELS, 3, padding=1, bias=False)

    return Subject(switch, make, lambda _case, _one_pass: define(KERNELS), CONVOLUTION_IMAGES)


def verify_builtin(subject: Subject, cases: Sequence[Case]) -> Verification:
    """Compare forward, gradients and running statistics on every case, in both precisions, layouts and modes."""
    checks: list[Check] = []
    problems: list[str] = []
    refused = 0
    if not subject.defined:
        return Verification(subject.name, 0, 0, (), (), defined=False)
    not_built: dict[int, UsageError] = {}
    for case in (case.of_images(subject.images) for case in cases):
        try:
            subject.make(case)
        except UsageError as error:
            not_built[case.shape[1]] = error
            continue
        oracles = {one_pass: _Oracle(subject.define(case, one_pass), case) for one_pass in (False, True)}
        trials = [
            _Trial(subject, setting, oracles[(subject.base, setting.layout) in ONE_PASS]).run()
            for setting in settings(case)
        ]
        checks += [check for trial in trials for check in trial.checks]
        problems += [problem for trial in trials for problem in trial.problems]
        refused += any(trial.refused for trial in trials)
    if not_built and not checks:
        raise next(iter(not_built.values()))
    return Verification(
        subject.name,
        len(cases),
        refused,
        tuple(checks),
        tuple(dict.fromkeys(problems)),
        not_built=tuple(sorted(not_built)),
    )


@dataclass(frozen=True)
class _Expected:
    """Results of the definition, each with the terms that its errors are relative to."""

    forward: tuple[Array, Array]
    backward: tuple[Gradients, Gradients]


class _Oracle:
    """Definition on one case; the settings of the case share its results if parameters and mode are equal."""

    def __init__(self, definition: Definition, case: Case) -> None:
        self.definition, self.case = definition, case
        self._cache: dict[tuple[int, bool], tuple[Parameters, _Expected]] = {}

    def __call__(self, step: int, dy: Array, parameters: Parameters, training: bool) -> _Expected:
        """Compute the results of a step."""
        norm, x = self.definition, self.case.steps[step]
        mode = training and norm.train_eval_differ
        relevant = {
            name: value for name, value in parameters.items() if not training or name not in norm.unread_in_training
        }
        cached = self._cache.get((step, mode))
        if cached is None or not _equal(cached[0], relevant):
            expected = _Expected(
                (norm.forward(x, parameters, training), norm.forward_magnitudes(x, parameters, training)),
                (norm.backward(dy, x, parameters, training), norm.backward_magnitudes(dy, x, parameters, training)),
            )
            cached = self._cache[step, mode] = (relevant, expected)
        return cached[1]


def _equal(a: Parameters, b: Parameters) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


class _Trial:
    """One module in one setting: its training steps, then evaluation."""

    def __init__(self, subject: Subject, setting: Setting, oracle: _Oracle) -> None:
        self.setting, self.case = setting, setting.case
        self.oracle, self.definition = oracle, oracle.definition
        self.module = materialized(subject.make(setting.case), setting.case)
        self.checks: list[Check] = []
        self.problems: list[str] = []
        self.refused = False

    def run(self) -> "_Trial":
        """Take the training steps, then evaluate the last input."""
        shapes = {name: value.shape for name, value in state(self.module).items()}
        expected = self.definition.parameters(self.case.shape)
        if shapes != expected:
            self.problems.append(f"its parameters and buffers are {shapes}, the definition's are {expected}")
            return self
        self._check_initial_values()
        self.module = randomized(self.module, self.case).to(DTYPES[self.setting.precision])
        self._train()
        before = running(self.module)
        self._step(len(self.case.steps) - 1, training=False)
        where = self.setting.describe(training=False)
        for name, value in running(self.module).items():
            self._check("buffers", where, name, value, before[name], np.abs(before[name]))
        return self

    def _check_initial_values(self) -> None:
        for name, value in state(self.module).items():
            initial = self.definition.initial(self.case.shape).get(name)
            if initial is not None and not (value == np.float32(initial)).all():
                errors = compare(value, np.full_like(value, initial), 1.0)
                index = list(errors.index)
                self.problems.append(f"initial value of {name}{index} is {errors.got:g}, not {initial:g}")

    def _train(self) -> None:
        """Take the training steps, with the expected running statistics in float64, from the initial ones on.

        A norm without any takes one step, but all of them in the cases of the network, as in training.
        """
        after, magnitudes = self.definition.buffers, self.definition.buffers_magnitudes
        buffers: Parameters = running(self.module)
        terms = buffers
        steps = len(self.case.steps) if buffers or self.case.of_network else 1
        for index, x in enumerate(self.case.steps[:steps]):
            if not self._step(index, training=True):
                return
            if index == 0:
                late(self.module, self.case)
            if after is None or magnitudes is None:
                continue
            buffers, terms = after(x, buffers), magnitudes(x, terms)
            where = self.setting.describe(training=True, step=index + 1)
            for name, value in running(self.module).items():
                self._check("buffers", where, name, value, buffers[name], terms[name], steps=index + 1)

    def _step(self, index: int, training: bool) -> bool:
        """Run and compare forward and backward; return False if the module raised an error."""
        parameters = state(self.module) | counters(self.module) | self._mask(training)
        where = self.setting.describe(training, index + 1 if training else 1)
        must_raise = self.definition.refuses(self.case.shape, training)
        self.module.train(training)
        try:
            output = forward_backward(self.module, self.setting.tensor(self.case.steps[index]), self.case, index)
        except (ValueError, RuntimeError) as error:
            self.refused |= must_raise
            if not must_raise:
                self.problems.append(f"{where}: {error}")
            return False
        if must_raise:
            self.problems.append(f"{where}: accepted single values, which it must refuse")
            return False
        self._compare(output, self.oracle(index, output.dy, parameters, training), where)
        return True

    def _compare(self, output: ModuleOutput, expected: _Expected, where: str) -> None:
        self._check("forward", where, "y", output.y, *expected.forward)
        gradients, terms = expected.backward
        self._check("input gradient", where, INPUT_GRADIENT, output.dx, gradients.x, terms.x)
        for name, got in output.parameters.items():
            arrays = (got, gradients.parameters[name], terms.parameters[name])
            self._check("parameter gradients", where, gradient_of(name), *arrays)

    def _check(self, quantity: Quantity, where: str, array: str, *arrays: Array, steps: int = 1) -> None:
        """Compare an array, given its name, and its values, the expected ones, and the terms of the errors."""
        if arrays[0].shape != arrays[1].shape:
            self.problems.append(f"{where}: {array} has shape {arrays[0].shape}, not {arrays[1].shape}")
            return
        bound = bound_of(self.setting.precision, self.definition.summed(self.case.shape), steps)
        self.checks.append(self.setting.check(where, quantity, array, compare(*arrays), bound))

    def _mask(self, training: bool) -> dict[str, Array]:
        """Return the mask of dropout in this step: its output for ones, with the same random numbers."""
        if not isinstance(self.module, nn.Dropout) or not training:
            return {}
        ones = self.setting.tensor(np.ones(self.case.shape))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.case.seed[1])
            return {"mask": numpy(self.module.train()(ones) != 0)}
