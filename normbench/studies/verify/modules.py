"""Modules as the verification runs them: in a precision and a memory layout, with nothing trivial in them."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from normbench.reference import Array
from normbench.studies.verify.cases import Case, float32
from normbench.studies.verify.checks import Check, Errors, Precision, Quantity

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
INPUT_GRADIENT = "dL/dx"
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@dataclass(frozen=True)
class Setting:
    """A case in a precision and a memory layout."""

    case: Case
    precision: Precision
    layout: str

    @property
    def is_exact(self) -> bool:
        """The one setting that gradients are compared with finite differences in."""
        return self.precision == "float64" and self.layout == "contiguous"

    def tensor(self, x: Array) -> Tensor:
        """An input."""
        return torch.from_numpy(x).to(DTYPES[self.precision]).to(memory_format=LAYOUTS[self.layout])

    def words(self, training: bool, step: int = 1) -> str:
        """What a message calls it; `step` counts training steps from 1."""
        shape = "x".join(map(str, self.case.shape))
        nhwc = ", NHWC" * (self.layout != "contiguous")
        mode = "train" if training else "eval"
        return f"{self.case.kind} {shape}, {self.precision}{nhwc}, {mode}{f', step {step}' * (step > 1)}"

    def check(self, words: str, quantity: Quantity, array: str, errors: Errors, bound: float) -> Check:
        """What a comparison in this setting says."""
        return Check(
            self.precision,
            self.case.kind,
            self.layout,
            words,
            quantity,
            errors.error,
            bound,
            errors.relative,
            errors.condition,
            array,
            errors.index,
            errors.got,
            errors.expected,
        )


def settings(case: Case) -> list[Setting]:
    """Every precision and layout; of the large cases all but the least likely to tell something new."""
    every = [Setting(case, precision, layout) for precision in DTYPES for layout in LAYOUTS]
    return every[:-1] if case.of_network else every


@dataclass(frozen=True)
class Answer:
    """What a module made of an input, as float64."""

    y: Array
    dy: Array
    """The dL/dy that the gradients are for."""
    dx: Array
    parameters: dict[str, Array]
    """dL/dp, by name."""

    @property
    def gradients(self) -> dict[str, Array]:
        """All of them, by what a message calls them."""
        return {INPUT_GRADIENT: self.dx, **{gradient_of(name): value for name, value in self.parameters.items()}}


def gradient_of(parameter: str) -> str:
    """The name of a parameter's gradient in messages."""
    return f"dL/d {parameter}"


def forward_backward(module: nn.Module, x: Tensor, case: Case, step: int = 0) -> Answer:
    """Run a module forward and, for the dL/dy of a step, backward; what it draws is drawn from the case's seed."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(case.seed[1])
        y = module(x)
    dy = case.upstream(step, tuple(y.shape))
    parameters = dict(module.named_parameters())
    gradients: Sequence[Tensor] = torch.autograd.grad(
        y, (x, *parameters.values()), torch.from_numpy(dy).to(y), materialize_grads=True
    )
    dx, *of_parameters = map(numpy, gradients)
    return Answer(numpy(y), dy, dx, dict(zip(parameters, of_parameters, strict=True)))


def materialized(module: nn.Module, case: Case) -> nn.Module:
    """The module with its shape known; the others see no input here, since one may initialise them."""
    if any(map(nn.parameter.is_lazy, module.parameters())):
        with torch.no_grad():
            module(torch.zeros(case.shape))
    return module


def prepared(module: nn.Module, case: Case) -> nn.Module:
    """The module with parameters and running statistics that are not the trivial ones, unless the case keeps those."""
    if case.initial:
        return module
    chance = case.chance(1)
    with torch.no_grad():
        for _, parameter in _floats(module.named_parameters()):
            drawn = 1 + 0.5 * chance.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(float32(np.asarray(drawn))))
        for name, buffer in _floats(module.named_buffers()):
            drawn = chance.uniform(0.5, 2, tuple(buffer.shape)) if "var" in name else chance.normal(size=buffer.shape)
            buffer.copy_(torch.from_numpy(float32(np.asarray(drawn))))
    return module


def state(module: nn.Module) -> dict[str, Array]:
    """Parameters and buffers by name, as float64; counters are left out."""
    return {name: numpy(value) for name, value in _floats(module.state_dict().items())}


def running(module: nn.Module) -> dict[str, Array]:
    """Running statistics by name, as float64."""
    return {name: numpy(value) for name, value in _floats(module.named_buffers())}


def copied(module: nn.Module) -> nn.Module:
    """A copy, also of a module that keeps a tensor of an earlier step with the graph that it came from."""
    kept = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    return copy.deepcopy(module, {id(tensor): tensor.detach().clone() for tensor in kept if not tensor.is_leaf})


def whole_state(module: nn.Module, *, counters: bool = True) -> dict[str, Array]:
    """Every parameter and buffer under each of its names, also those that are not saved, as float64.

    `counters`: and those that are no floating-point numbers.
    """
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: numpy(value) for name, value in named if counters or value.is_floating_point()}


def aliases(module: nn.Module) -> dict[str, list[str]]:
    """All names of each parameter, by the first."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {same[0]: same for same in names.values()}


def _floats(named: Iterable[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in named if value.is_floating_point()]


def numpy(tensor: Tensor) -> Array:
    """A copy, as a float64 array."""
    array: Array = tensor.detach().double().numpy().copy()
    return array
