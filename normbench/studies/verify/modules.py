"""Modules as the verification runs them: in a precision and a memory layout, with nothing trivial in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from normbench.reference import Array
from normbench.studies.verify.cases import Case, float32
from normbench.studies.verify.verdict import Check, Errors, Precision, Quantity

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}
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

    def words(self, training: bool) -> str:
        """What a message calls it."""
        shape = "x".join(map(str, self.case.shape))
        nhwc = ", NHWC" * (self.layout != "contiguous")
        return f"{self.case.kind} {shape}, {self.precision}{nhwc}, {'train' if training else 'eval'}"

    def check(self, words: str, quantity: Quantity, errors: Errors, bound: float) -> Check:
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
        )


@dataclass(frozen=True)
class Answer:
    """What a module made of an input, as float64."""

    y: Array
    dy: Array
    """The dL/dy that the gradients are for."""
    dx: Array
    parameters: dict[str, Array]
    """dL/dp, by name."""


def forward_backward(module: nn.Module, x: Tensor, case: Case) -> Answer:
    """Run a module forward and, for a random dL/dy, backward; what it draws is drawn from the case's seed."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(case.seed[1])
        y = module(x)
    dy = float32(case.chance(2).standard_normal(tuple(y.shape)))
    parameters = dict(module.named_parameters())
    gradients: Sequence[Tensor] = torch.autograd.grad(
        y, (x, *parameters.values()), torch.from_numpy(dy).to(y), materialize_grads=True
    )
    dx, *of_parameters = map(numpy, gradients)
    return Answer(numpy(y), dy, dx, dict(zip(parameters, of_parameters, strict=True)))


def prepared(module: nn.Module, case: Case) -> nn.Module:
    """The module with its shape known and with parameters and running statistics that are not the trivial ones."""
    chance = case.chance(1)
    with torch.no_grad():
        if any(map(nn.parameter.is_lazy, module.parameters())):
            module(torch.zeros(case.shape))
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


def _floats(named: Iterable[tuple[str, Tensor]]) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in named if value.is_floating_point()]


def numpy(tensor: Tensor) -> Array:
    """A copy, as a float64 array."""
    array: Array = tensor.detach().double().numpy().copy()
    return array
