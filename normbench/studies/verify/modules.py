"""Modules under verification, prepared and run.

They run in a precision and a memory layout, with non-trivial parameters and buffers.
"""

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
MOST_STEPS = 5000
"""Largest count of steps that is drawn."""
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@dataclass(frozen=True)
class Setting:
    """Case in a precision and a memory layout."""

    case: Case
    precision: Precision
    layout: str

    @property
    def is_exact(self) -> bool:
        """True for the one setting in which gradients are compared with finite differences."""
        return self.precision == "float64" and self.layout == "contiguous"

    def tensor(self, x: Array) -> Tensor:
        """Convert an input."""
        return torch.from_numpy(x).to(DTYPES[self.precision]).to(memory_format=LAYOUTS[self.layout])

    def describe(self, training: bool, step: int = 1) -> str:
        """Describe it for messages; `step` counts training steps from 1."""
        shape = "x".join(map(str, self.case.shape))
        nhwc = ", NHWC" * (self.layout != "contiguous")
        mode = "train" if training else "eval"
        return f"{self.case.kind} {shape}, {self.precision}{nhwc}, {mode}{f', step {step}' * (step > 1)}"

    def check(self, where: str, quantity: Quantity, array: str, errors: Errors, bound: float) -> Check:
        """Make the record of a comparison in this setting."""
        return Check(
            self.precision,
            self.case.kind,
            self.layout,
            where,
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
    """Combine every precision and layout; large cases leave out the least informative one."""
    combinations = [Setting(case, precision, layout) for precision in DTYPES for layout in LAYOUTS]
    return combinations[:-1] if case.of_network else combinations


@dataclass(frozen=True)
class ModuleOutput:
    """Output and gradients of a module for one input, as float64."""

    y: Array
    dy: Array
    """Upstream gradient dL/dy."""
    dx: Array
    parameters: dict[str, Array]
    """Gradient dL/dp of each parameter, by name."""

    @property
    def gradients(self) -> dict[str, Array]:
        """Gradients by input and parameters, by the names of messages."""
        return {INPUT_GRADIENT: self.dx, **{gradient_of(name): value for name, value in self.parameters.items()}}


def gradient_of(parameter: str) -> str:
    """Return the name of a parameter's gradient in messages."""
    return f"dL/d {parameter}"


def forward_backward(module: nn.Module, x: Tensor, case: Case, step: int = 0) -> ModuleOutput:
    """Run a module forward and, for the dL/dy of a step, backward; its random numbers come from the case's seed."""
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
    return ModuleOutput(numpy(y), dy, dx, dict(zip(parameters, of_parameters, strict=True)))


def materialized(module: nn.Module, case: Case) -> nn.Module:
    """Materialize a lazy module by an input of zeros; others see no input, as one may initialise them."""
    if any(map(nn.parameter.is_lazy, module.parameters())):
        with torch.no_grad():
            module(torch.zeros(case.shape))
    return module


def randomized(module: nn.Module, case: Case) -> nn.Module:
    """Draw non-trivial parameters and running statistics, unless the case keeps the initial ones."""
    if case.initial:
        return module
    rng = case.rng(1)
    with torch.no_grad():
        for _, parameter in _floats(module.named_parameters()):
            drawn = 1 + 0.5 * rng.standard_normal(tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(float32(np.asarray(drawn))))
        for name, buffer in _floats(module.named_buffers()):
            spread = "var" in name or "std" in name
            drawn = rng.uniform(0.5, 2, tuple(buffer.shape)) if spread else rng.normal(size=buffer.shape)
            buffer.copy_(torch.from_numpy(float32(np.asarray(drawn))))
    return module


def state(module: nn.Module) -> dict[str, Array]:
    """Return parameters and buffers by name, as float64, without counters."""
    return {name: numpy(value) for name, value in _floats(module.state_dict().items())}


def late(module: nn.Module, case: Case) -> None:
    """Draw other counts of steps, as of a training that is far on, unless the case keeps the initial values."""
    if not case.initial:
        rng = case.rng(3)
        for _, buffer in module.named_buffers():
            if not buffer.is_floating_point():
                buffer.fill_(int(rng.integers(MOST_STEPS)))


def counters(module: nn.Module) -> dict[str, Array]:
    """Counts of steps by name, as float64: a definition may depend on them."""
    return {name: numpy(value) for name, value in module.named_buffers() if not value.is_floating_point()}


def running(module: nn.Module) -> dict[str, Array]:
    """Return running statistics by name, as float64."""
    return {name: numpy(value) for name, value in _floats(module.named_buffers())}


def copied(module: nn.Module) -> nn.Module:
    """Copy a module, even one that keeps a tensor of an earlier step with its graph."""
    kept = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    return copy.deepcopy(module, {id(tensor): tensor.detach().clone() for tensor in kept if not tensor.is_leaf})


def whole_state(module: nn.Module, *, counters: bool = True) -> dict[str, Array]:
    """Return every parameter and buffer under each of its names, even those that are not saved, as float64.

    `counters` includes those that are not floating-point numbers.
    """
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: numpy(value) for name, value in named if counters or value.is_floating_point()}


def aliases(module: nn.Module) -> dict[str, list[str]]:
    """Return all names of each parameter, by the first."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {same[0]: same for same in names.values()}


def _floats(named: Iterable[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in named if value.is_floating_point()]


def numpy(tensor: Tensor) -> Array:
    """Copy to a float64 array."""
    array: Array = tensor.detach().double().numpy().copy()
    return array
