"""Registered norms, weight standardization and dropout against the float64 definitions, step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from normbench.norms import NORMS, resolve_norm
from normbench.norms.layers import StandardizedConv2d
from normbench.reference import Array, Definition, Parameters, definition, dropout, standardized_convolution
from normbench.studies.verify.cases import Case
from normbench.studies.verify.modules import (
    DTYPES,
    LAYOUTS,
    Answer,
    Setting,
    forward_backward,
    numpy,
    prepared,
    running,
    state,
)
from normbench.studies.verify.verdict import Check, Quantity, Verified, bound_of, compare

DROPOUT = 0.3
KERNELS = 6
ONE_PASS = {("gn", "channels last"), ("ln", "channels last")}
"""Where torch takes the variance as E[x²] - E[x]²: its group norm for the CPU, in this layout only."""


@dataclass(frozen=True)
class Subject:
    """What is verified: a module for a case, and the definition it is held against."""

    name: str
    make: Callable[[Case], nn.Module]
    define: Callable[[Case, str], Definition]
    """(case, layout)."""


def subjects() -> list[Subject]:
    """Every registered norm, the convolution of `+ws`, and dropout."""
    around = [
        Subject("+ws", _convolution, lambda _case, _layout: standardized_convolution(KERNELS)),
        Subject("dropout", lambda _case: nn.Dropout(DROPOUT), lambda _case, _layout: dropout(DROPOUT)),
    ]
    return [*(_registered(name) for name in NORMS), *around]


def _registered(name: str) -> Subject:
    def make(case: Case) -> nn.Module:
        return resolve_norm(name, case.groups).make(case.shape[1])

    def define(case: Case, layout: str) -> Definition:
        return definition(name, case.groups, one_pass=(name, layout) in ONE_PASS)

    return Subject(name, make, define)


def _convolution(case: Case) -> nn.Module:
    return StandardizedConv2d(case.shape[1], KERNELS, 3, padding=1, bias=False)


def verify_registered(subject: Subject, cases: Sequence[Case]) -> Verified:
    """Compare forward, gradients and running statistics on every case, in both precisions, layouts and modes."""
    checks: list[Check] = []
    problems: list[str] = []
    refused = 0
    for case in cases:
        trials = [_Trial(subject, Setting(case, precision, layout)).run() for precision in DTYPES for layout in LAYOUTS]
        checks += [check for trial in trials for check in trial.checks]
        problems += [problem for trial in trials for problem in trial.problems]
        refused += any(trial.refused for trial in trials)
    return Verified(subject.name, len(cases), refused, tuple(checks), tuple(dict.fromkeys(problems)))


class _Trial:
    """One module on one case: its training steps, then evaluation."""

    def __init__(self, subject: Subject, setting: Setting) -> None:
        self.setting, self.case = setting, setting.case
        self.definition = subject.define(setting.case, setting.layout)
        self.module = prepared(subject.make(setting.case), setting.case).to(DTYPES[setting.precision])
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
        self._train()
        self._step(self.case.steps[-1], training=False)
        return self

    def _train(self) -> None:
        """Running statistics are carried along in float64, from where the module's began."""
        after, magnitudes = self.definition.buffers, self.definition.buffers_magnitudes
        if after is None or magnitudes is None:
            self._step(self.case.steps[0], training=True)
            return
        buffers: Parameters = running(self.module)
        terms = buffers
        for number, x in enumerate(self.case.steps, start=1):
            if not self._step(x, training=True):
                return
            buffers, terms = after(x, buffers), magnitudes(x, terms)
            for name, found in running(self.module).items():
                words = self.setting.words(training=True)
                self._check("buffers", words, found, buffers[name], terms[name], steps=number)

    def _step(self, x: Array, training: bool) -> bool:
        """Forward and backward, compared; False where the module raised."""
        parameters = state(self.module) | self._mask(training)
        words, must_raise = self.setting.words(training), self.definition.refuses(self.case.shape, training)
        self.module.train(training)
        try:
            answer = forward_backward(self.module, self.setting.tensor(x), self.case)
        except (ValueError, RuntimeError) as error:
            self.refused |= must_raise
            if not must_raise:
                self.problems.append(f"{words}: {error}")
            return False
        if must_raise:
            self.problems.append(f"{words}: took single values, which it must refuse")
            return False
        self._compare(answer, x, parameters, training)
        return True

    def _compare(self, answer: Answer, x: Array, parameters: Parameters, training: bool) -> None:
        norm, dy, words = self.definition, answer.dy, self.setting.words(training)
        y, terms = (f(x, parameters, training) for f in (norm.forward, norm.forward_magnitudes))
        self._check("forward", words, answer.y, y, terms)
        right, by = (f(dy, x, parameters, training) for f in (norm.backward, norm.backward_magnitudes))
        self._check("input gradient", words, answer.dx, right.x, by.x)
        for name, found in answer.parameters.items():
            self._check("parameter gradients", words, found, right.parameters[name], by.parameters[name])

    def _check(self, quantity: Quantity, words: str, *arrays: Array, steps: int = 1) -> None:
        """`arrays`: found, expected, and the terms that errors are measured by."""
        if arrays[0].shape != arrays[1].shape:
            self.problems.append(f"{words}: {quantity} is of shape {arrays[0].shape}, not {arrays[1].shape}")
            return
        bound = bound_of(self.setting.precision, self.definition.summed(self.case.shape), steps)
        self.checks.append(self.setting.check(words, quantity, compare(*arrays), bound))

    def _mask(self, training: bool) -> dict[str, Array]:
        """What dropout lets pass: what it makes of ones, with the same random numbers."""
        if not isinstance(self.module, nn.Dropout) or not training:
            return {}
        ones = self.setting.tensor(np.ones(self.case.shape))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.case.seed[1])
            return {"mask": numpy(self.module.train()(ones) != 0)}
