"""Inputs that norms are verified on: random shapes, hard values, and the shapes of the network's layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks import build
from normbench.networks.blocks import norm_layers
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
    "network": "the shapes at the norms of the network (c10 unless --network names another), up to 64 images, initial "
    "values, several training steps",
}
"""Kinds of input with their meaning."""
CONSTANTS, HUGE, TINY, OFFSET = (0.0, 1.0, -1e4), (1e4, 1e6), (1e-4, 1e-6), 1e3
SINGLE = ((1, 4, 1, 1), (3, 4, 1, 1), (1, 1, 1, 1), (3, 1, 2, 2))

HARD = len(CONSTANTS) + len(HUGE) + len(TINY) + 2 + len(SINGLE)
"""Number of hard cases; those of the offset have both signs."""

BATCH = 64
"""Batch size of the recipes."""
MOST_VALUES = 2**18
"""Largest number of values in a step of a layer's case: larger maps get fewer images."""
LONG = 24
"""Training steps of the case that follows one layer for longer."""
LONG_IMAGES = 8


@dataclass(frozen=True)
class Case:
    """Inputs of one shape for several steps; every value is a float32, stored as float64."""

    kind: str
    groups: int
    """Groups of GroupNorm; they divide the channels."""
    steps: tuple[Array, ...]
    """One input (N, C, H, W) per step."""
    seed: tuple[int, int]
    """Seed of everything else that is random about the case."""
    initial: bool = False
    """True to keep the initial parameters and buffers of the module; otherwise they are drawn."""
    gradients: dict[tuple[int, tuple[int, ...]], Array] = field(default_factory=dict, compare=False, repr=False)
    """Every dL/dy drawn so far, by step and shape: all norms and settings get the same."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (N, C, H, W)."""
        n, c, h, w = self.steps[0].shape
        return n, c, h, w

    @property
    def of_network(self) -> bool:
        """True if it has the size of an input in training, and is more expensive than the others."""
        return self.kind == "network"

    def of_images(self, most: int | None) -> "Case":
        """Return the case with at most so many images."""
        if most is None or self.shape[0] <= most:
            return self
        return replace(self, steps=tuple(x[:most] for x in self.steps), gradients={})

    def rng(self, stream: int) -> np.random.Generator:
        """Return the generator of one purpose."""
        return np.random.default_rng((*self.seed, stream))

    def upstream(self, step: int, shape: tuple[int, ...]) -> Array:
        """Draw a dL/dy of this shape for a step.

        Its mean and its product with x are far from 0, so that the contribution of the statistics to a gradient does
        not vanish among many values.
        """
        if (step, shape) not in self.gradients:
            x = self.steps[step]
            dy = 1 + self.rng(2).standard_normal(shape)
            if shape == x.shape and x.std() > 0:
                dy += (x - x.mean()) / x.std()
            self.gradients[step, shape] = float32(dy)
        return self.gradients[step, shape]


def draw_cases(seed: int, count: int, network: str = "c10") -> list[Case]:
    """Draw `count` ordinary cases, the hard ones, and those of the network's layers; the same for every norm."""
    plan: list[tuple[str, float, float]] = [("ordinary", 1.0, 0.0)] * count
    plan += [("constant", 0.0, value) for value in CONSTANTS]
    plan += [("huge", factor, 0.0) for factor in HUGE] + [("tiny", factor, 0.0) for factor in TINY]
    plan += [("offset", 1.0, OFFSET), ("offset", 1.0, -OFFSET)]
    ordinary = [_random_case((seed, index), *line) for index, line in enumerate(plan)]
    single = [_random_case((seed, len(plan) + index), "single", 1.0, 0.0, shape) for index, shape in enumerate(SINGLE)]
    return [*ordinary, *single, *_network_cases(seed, len(plan) + len(single), network)]


def _network_cases(seed: int, first: int, network: str) -> Iterator[Case]:
    """Draw two steps at every layer's shape, with random and initial values in turn, and many at the last one's."""
    shapes = layer_shapes(network)
    plan = [(min(BATCH, MOST_VALUES // int(np.prod(shape))), shape, 2, bool(i % 2)) for i, shape in enumerate(shapes)]
    plan.append((LONG_IMAGES, shapes[-1], LONG, True))
    for index, (images, shape, steps, initial) in enumerate(plan):
        rng = np.random.default_rng((seed, first + index, 0))
        values = tuple(float32(_values(rng, (images, *shape), centred=False)) for _ in range(steps))
        yield Case("network", 4, values, (seed, first + index), initial)


def layer_shapes(network: str = "c10") -> list[tuple[int, ...]]:
    """Find the distinct shapes (C, H, W) of the norms' inputs in a network, in the order of execution.

    Raises:
        UsageError: There is no such network.
    """
    shapes: dict[tuple[int, ...], None] = {}

    def record(_module: nn.Module, inputs: Sequence[Tensor]) -> None:
        shapes[tuple(inputs[0].shape[1:])] = None

    built = build(NetworkConfig(name=network), Norm.parse("none")).eval()
    for layer in norm_layers(built).values():
        layer.register_forward_pre_hook(record)
    built(torch.zeros(1, *IMAGE_SHAPE))
    return list(shapes)


def _random_case(
    seed: tuple[int, int], kind: str, factor: float, offset: float, shape: tuple[int, ...] | None = None
) -> Case:
    """Draw values, scaled and shifted; with a given shape, every channel is a group."""
    rng = np.random.default_rng((*seed, 0))
    n, c, h, w = shape or _shape(rng)
    groups = c if shape else int(rng.choice([g for g in (1, 2, 4) if c % g == 0]))
    values = (factor * _values(rng, (n, c, h, w), centred=kind == "offset") + offset for _ in range(STEPS))
    return Case(kind, groups, tuple(float32(x) for x in values), seed)


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    return (
        int(rng.integers(1, 5)),
        int(rng.choice([4, 8, 12])),
        int(rng.integers(2, 7)),
        int(rng.integers(2, 7)),
    )


def _values(rng: np.random.Generator, shape: tuple[int, ...], centred: bool) -> Array:
    mean, deviation = (0.0, 1.0) if centred else (rng.uniform(-3, 3), 10 ** rng.uniform(-0.5, 0.5))
    return mean + deviation * rng.standard_normal(shape)


def float32(x: Array) -> Array:
    """Round to float32 and store as float64: values that both precisions represent."""
    return x.astype(np.float32).astype(np.float64)
