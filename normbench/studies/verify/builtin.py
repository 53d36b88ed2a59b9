"""Registered norms, weight standardization and dropout against the float64 definitions, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from normbench.config.norm_names import NormName
from normbench.errors import UsageError
from normbench.norms import NORMS, Norm
from normbench.norms.layers import StandardizedConv2d
from normbench.reference import (
    Array,
    Definition,
    Gradients,
    Parameters,
    definition,
    dropout,
    has_definition,
    standardized_convolution,
)
from normbench.reference.definitions import RUNNING
from normbench.studies.verify.cases import Case
from normbench.studies.verify.checks import Check, Quantity, Verified, bound_of, compare
from normbench.studies.verify.modules import (
    DTYPES,
    INPUT_GRADIENT,
    Answer,
    Setting,
    forward_backward,
    gradient_of,
    materialized,
    numpy,
    prepared,
    running,
    settings,
    state,
)

DROPOUT = 0.3
KERNELS = 6
CONVOLVED = 8
"""Images of a convolution's cases: each value takes part in 54 products, and no sum is over images but a gradient's."""
ONE_PASS = {("gn", "channels last"), ("ln", "channels last")}
"""Where torch takes the variance as E[x²] - E[x]²: its group norm for the CPU, in this layout only."""


@dataclass(frozen=True)
class Subject:
    """What is verified: a module for a case, and the definition it is held against."""

    name: str
    make: Callable[[Case], nn.Module]
    define: Callable[[Case, bool], Definition]
    """(case, whether the module takes its variance as E[x²] - E[x]²)."""
    images: int | None = None
    """At most so many of a case."""
    defined: bool = True
    """False for a record of the registry that nobody has written a definition for."""
    base: str = ""
    """Of a norm: its name without arguments."""


def subjects() -> list[Subject]:
    """Every built-in norm, the convolution of `+ws`, and dropout."""
    around = [
        Subject("+ws", _convolution, lambda _case, _one_pass: standardized_convolution(KERNELS), CONVOLVED),
        Subject("dropout", lambda _case: nn.Dropout(DROPOUT), lambda _case, _one_pass: dropout(DROPOUT)),
    ]
    return [*(built_in(name) for name in NORMS), *around]


def built_in(name: str) -> Subject:
    """A built-in norm, optionally with arguments, which its definition takes likewise.

    Raises:
        UsageError: There is no such norm, or an argument does not fit.
    """
    base = NormName.parse(name).base

    def make(case: Case) -> nn.Module:
        return Norm.parse(name, case.groups).make(case.shape[1])

    def define(case: Case, one_pass: bool) -> Definition:
        return definition(base, Norm.parse(name, case.groups).arguments, one_pass=one_pass)

    return Subject(Norm.parse(name).name, make, define, defined=has_definition(base), base=base)


def _convolution(case: Case) -> nn.Module:
    return StandardizedConv2d(case.shape[1], KERNELS, 3, padding=1, bias=False)


def verify_builtin(subject: Subject, cases: Sequence[Case]) -> Verified:
    """Compare forward, gradients and running statistics on every case, in both precisions, layouts and modes."""
    checks: list[Check] = []
    problems: list[str] = []
    refused = 0
    if not subject.defined:
        return Verified(subject.name, 0, 0, (), (), defined=False)
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
    return Verified(
        subject.name,
        len(cases),
        refused,
        tuple(checks),
        tuple(dict.fromkeys(problems)),
        not_built=tuple(sorted(not_built)),
    )


@dataclass(frozen=True)
class _Expected:
    """The definition's results, each beside the terms that errors are measured by."""

    forward: tuple[Array, Array]
    backward: tuple[Gradients, Gradients]


class _Oracle:
    """A definition on one case; the settings of the case share its results where parameters and mode agree."""

    def __init__(self, definition: Definition, case: Case) -> None:
        self.definition, self.case = definition, case
        self._known: dict[tuple[int, bool], tuple[Parameters, _Expected]] = {}

    def __call__(self, step: int, dy: Array, parameters: Parameters, training: bool) -> _Expected:
        """The results of a step."""
        norm, x = self.definition, self.case.steps[step]
        mode = training and norm.train_eval_differ
        read = {name: value for name, value in parameters.items() if not training or name not in RUNNING}
        known = self._known.get((step, mode))
        if known is None or not _equal(known[0], read):
            expected = _Expected(
                (norm.forward(x, parameters, training), norm.forward_magnitudes(x, parameters, training)),
                (norm.backward(dy, x, parameters, training), norm.backward_magnitudes(dy, x, parameters, training)),
            )
            known = self._known[step, mode] = (read, expected)
        return known[1]


def _equal(some: Parameters, others: Parameters) -> bool:
    return some.keys() == others.keys() and all(np.array_equal(some[name], others[name]) for name in some)


class _Trial:
    """One module on one case: its training steps, then evaluation."""

    def __init__(self, subject: Subject, setting: Setting, oracle: _Oracle) -> None:
        self.setting, self.case = setting, setting.case
        self.oracle, self.definition = oracle, oracle.definition
        self.module = materialized(subject.make(setting.case), setting.case)
        self.checks: list[Check] = []
        self.problems: list[str] = []
        self.refused = False

    def run(self) -> "_Trial":
        """Step by step: the training steps, then evaluation on the last input."""
        found = {name: value.shape for name, value in state(self.module).items()}
        expected = self.definition.parameters(self.case.shape)
        if found != expected:
            self.problems.append(f"its parameters and buffers are {found}, the definition's are {expected}")
            return self
        self._initial_values()
        self.module = prepared(self.module, self.case).to(DTYPES[self.setting.precision])
        self._train()
        before = running(self.module)
        self._step(len(self.case.steps) - 1, training=False)
        words = self.setting.words(training=False)
        for name, value in running(self.module).items():
            self._check("buffers", words, name, value, before[name], np.abs(before[name]))
        return self

    def _initial_values(self) -> None:
        for name, value in state(self.module).items():
            begins = self.definition.initial(self.case.shape).get(name)
            if begins is not None and not (value == np.float32(begins)).all():
                errors = compare(value, np.full_like(value, begins), 1.0)
                self.problems.append(f"{name} begins as {errors.got:g} at {list(errors.index)}, not as {begins:g}")

    def _train(self) -> None:
        """Running statistics are carried along in float64, from where the module's began.

        A norm without any is tried in one step, but for the cases of the network, which it follows as training does.
        """
        after, magnitudes = self.definition.buffers, self.definition.buffers_magnitudes
        buffers: Parameters = running(self.module)
        terms = buffers
        steps = len(self.case.steps) if buffers or self.case.of_network else 1
        for index, x in enumerate(self.case.steps[:steps]):
            if not self._step(index, training=True):
                return
            if after is None or magnitudes is None:
                continue
            buffers, terms = after(x, buffers), magnitudes(x, terms)
            words = self.setting.words(training=True, step=index + 1)
            for name, found in running(self.module).items():
                self._check("buffers", words, name, found, buffers[name], terms[name], steps=index + 1)

    def _step(self, index: int, training: bool) -> bool:
        """Forward and backward, compared; False where the module raised."""
        parameters = state(self.module) | self._mask(training)
        words = self.setting.words(training, index + 1 if training else 1)
        must_raise = self.definition.refuses(self.case.shape, training)
        self.module.train(training)
        try:
            answer = forward_backward(self.module, self.setting.tensor(self.case.steps[index]), self.case, index)
        except (ValueError, RuntimeError) as error:
            self.refused |= must_raise
            if not must_raise:
                self.problems.append(f"{words}: {error}")
            return False
        if must_raise:
            self.problems.append(f"{words}: took single values, which it must refuse")
            return False
        self._compare(answer, self.oracle(index, answer.dy, parameters, training), words)
        return True

    def _compare(self, answer: Answer, expected: _Expected, words: str) -> None:
        self._check("forward", words, "y", answer.y, *expected.forward)
        right, terms = expected.backward
        self._check("input gradient", words, INPUT_GRADIENT, answer.dx, right.x, terms.x)
        for name, found in answer.parameters.items():
            arrays = (found, right.parameters[name], terms.parameters[name])
            self._check("parameter gradients", words, gradient_of(name), *arrays)

    def _check(self, quantity: Quantity, words: str, array: str, *arrays: Array, steps: int = 1) -> None:
        """`array` is a name, `arrays` are those found and expected, and the terms that errors are measured by."""
        if arrays[0].shape != arrays[1].shape:
            self.problems.append(f"{words}: {array} is of shape {arrays[0].shape}, not {arrays[1].shape}")
            return
        bound = bound_of(self.setting.precision, self.definition.summed(self.case.shape), steps)
        self.checks.append(self.setting.check(words, quantity, array, compare(*arrays), bound))

    def _mask(self, training: bool) -> dict[str, Array]:
        """What dropout lets pass: what it makes of ones, with the same random numbers."""
        if not isinstance(self.module, nn.Dropout) or not training:
            return {}
        ones = self.setting.tensor(np.ones(self.case.shape))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.case.seed[1])
            return {"mask": numpy(self.module.train()(ones) != 0)}
