"""The inputs that norms are verified on: seeded random shapes, hard values, and what the network's layers see."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks import build
from normbench.networks.blocks import Block
from normbench.networks.build import IMAGE_SHAPE
from normbench.norms import Norm
from normbench.reference import Array

STEPS = 3
"""Training steps in a row, so that running statistics move more than once."""
KINDS = {
    "ordinary": "means -3 to 3, standard deviations 0.3 to 3",
    "constant": "every value the same: 0, 1 or -10,000",
    "huge": "ordinary values times 10,000 or 1,000,000",
    "tiny": "ordinary values times 0.0001 or 0.000001",
    "offset": "mean 1,000, standard deviation 1: x - mean cancels",
    "single": "single pixels or single channels, alone or in a batch",
    "network": "the shapes of the layers of c10, up to 64 images, initial values, several training steps",
}
"""What the names of the kinds stand for."""
CONSTANTS, HUGE, TINY, OFFSET = (0.0, 1.0, -1e4), (1e4, 1e6), (1e-4, 1e-6), 1e3
SINGLE = ((1, 4, 1, 1), (3, 4, 1, 1), (1, 1, 1, 1), (3, 1, 2, 2))

HARD = len(CONSTANTS) + len(HUGE) + len(TINY) + 2 + len(SINGLE)
"""Hard cases: those of the offset are of both signs."""

BATCH = 64
"""Images, as the recipes train."""
MOST_VALUES = 2**18
"""Of a step of a layer's case: larger maps come with fewer images."""
LONG = 24
"""Training steps of the one case that follows a layer for longer."""
LONG_IMAGES = 8


@dataclass(frozen=True)
class Case:
    """One shape with the values of several steps; every value is a float32, kept in float64."""

    kind: str
    groups: int
    """For GroupNorm; they divide the channels."""
    steps: tuple[Array, ...]
    """(N, C, H, W) each."""
    seed: tuple[int, int]
    """What everything else that is random about the case is drawn from."""
    initial: bool = False
    """Parameters and buffers keep the values that the module begins with; otherwise they are drawn."""
    drawn: dict[tuple[int, tuple[int, ...]], Array] = field(default_factory=dict, compare=False, repr=False)
    """Every dL/dy that was asked for: all norms and settings get the same."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        n, c, h, w = self.steps[0].shape
        return n, c, h, w

    @property
    def of_network(self) -> bool:
        """Whether it is as large as what training sees: it then costs more than the others."""
        return self.kind == "network"

    def of_images(self, most: int | None) -> "Case":
        """The case, with the first of its images where it has more."""
        if most is None or self.shape[0] <= most:
            return self
        return replace(self, steps=tuple(x[:most] for x in self.steps), drawn={})

    def chance(self, stream: int) -> np.random.Generator:
        """Random numbers for one purpose."""
        return np.random.default_rng((*self.seed, stream))

    def upstream(self, step: int, shape: tuple[int, ...]) -> Array:
        """A dL/dy of this shape for the result of a step.

        Its mean and its product with x are far from 0, so that the parts of a gradient that go through the statistics
        do not vanish among many values.
        """
        if (step, shape) not in self.drawn:
            x = self.steps[step]
            dy = 1 + self.chance(2).standard_normal(shape)
            if shape == x.shape and x.std() > 0:
                dy += (x - x.mean()) / x.std()
            self.drawn[step, shape] = float32(dy)
        return self.drawn[step, shape]


def draw_cases(seed: int, count: int) -> list[Case]:
    """So many ordinary cases, the hard ones, then those of the network's layers; the same for every norm."""
    plan: list[tuple[str, float, float]] = [("ordinary", 1.0, 0.0)] * count
    plan += [("constant", 0.0, value) for value in CONSTANTS]
    plan += [("huge", factor, 0.0) for factor in HUGE] + [("tiny", factor, 0.0) for factor in TINY]
    plan += [("offset", 1.0, OFFSET), ("offset", 1.0, -OFFSET)]
    ordinary = [_drawn((seed, index), *line) for index, line in enumerate(plan)]
    single = [_drawn((seed, len(plan) + index), "single", 1.0, 0.0, shape) for index, shape in enumerate(SINGLE)]
    return [*ordinary, *single, *_network_cases(seed, len(plan) + len(single))]


def _network_cases(seed: int, first: int) -> Iterator[Case]:
    """Every layer's shape for two steps, with drawn and initial values in turn, and the last layer's for many."""
    shapes = layer_shapes()
    plan = [(min(BATCH, MOST_VALUES // int(np.prod(shape))), shape, 2, bool(i % 2)) for i, shape in enumerate(shapes)]
    plan.append((LONG_IMAGES, shapes[-1], LONG, True))
    for index, (images, shape, steps, initial) in enumerate(plan):
        chance = np.random.default_rng((seed, first + index, 0))
        values = tuple(float32(_values(chance, (images, *shape), centred=False)) for _ in range(steps))
        yield Case("network", 4, values, (seed, first + index), initial)


def layer_shapes() -> list[tuple[int, ...]]:
    """(C, H, W) of what the norms of the assignment's network are given, each once, first to last."""
    shapes: dict[tuple[int, ...], None] = {}

    def note(_module: nn.Module, inputs: Sequence[Tensor]) -> None:
        shapes[tuple(inputs[0].shape[1:])] = None

    network = build(NetworkConfig(), Norm.parse("none")).eval()
    for module in network.modules():
        if isinstance(module, Block):
            module.get_submodule("norm").register_forward_pre_hook(note)
    network(torch.zeros(1, *IMAGE_SHAPE))
    return list(shapes)


def _drawn(
    seed: tuple[int, int], kind: str, factor: float, offset: float, shape: tuple[int, ...] | None = None
) -> Case:
    """Values times a factor and plus an offset; of a given shape every channel is a group."""
    chance = np.random.default_rng((*seed, 0))
    n, c, h, w = shape or _shape(chance)
    groups = c if shape else int(chance.choice([g for g in (1, 2, 4) if c % g == 0]))
    values = (factor * _values(chance, (n, c, h, w), centred=kind == "offset") + offset for _ in range(STEPS))
    return Case(kind, groups, tuple(float32(x) for x in values), seed)


def _shape(chance: np.random.Generator) -> tuple[int, ...]:
    return (
        int(chance.integers(1, 5)),
        int(chance.choice([4, 8, 12])),
        int(chance.integers(2, 7)),
        int(chance.integers(2, 7)),
    )


def _values(chance: np.random.Generator, shape: tuple[int, ...], centred: bool) -> Array:
    mean, deviation = (0.0, 1.0) if centred else (chance.uniform(-3, 3), 10 ** chance.uniform(-0.5, 0.5))
    return mean + deviation * chance.standard_normal(shape)


def float32(x: Array) -> Array:
    """Rounded to float32, and kept in float64: what both precisions can hold."""
    return x.astype(np.float32).astype(np.float64)
