"""The inputs that norms are verified on: seeded random shapes, and values that are hard on a norm."""

from dataclasses import dataclass

import numpy as np

from normbench.reference import Array

STEPS = 3
"""Training steps in a row, so that running statistics move more than once."""
KINDS = {
    "ordinary": "means -3 to 3, standard deviations 0.3 to 3",
    "constant": "every value the same: 0, 1 or -10,000",
    "huge": "ordinary values times 10,000 or 1,000,000",
    "tiny": "ordinary values times 0.0001 or 0.000001",
    "offset": "mean 1,000, standard deviation 1: x - mean cancels",
    "one value": "single pixels or single channels, alone or in a batch",
}
"""What the names of the kinds stand for."""
CONSTANTS, HUGE, TINY, OFFSET = (0.0, 1.0, -1e4), (1e4, 1e6), (1e-4, 1e-6), 1e3
ONE_VALUE = ((1, 4, 1, 1), (3, 4, 1, 1), (1, 1, 1, 1), (3, 1, 2, 2))


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

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        n, c, h, w = self.steps[0].shape
        return n, c, h, w

    def chance(self, stream: int) -> np.random.Generator:
        """Random numbers for one purpose."""
        return np.random.default_rng((*self.seed, stream))


def draw_cases(seed: int, count: int) -> list[Case]:
    """So many ordinary cases, then the hard ones; the same for every norm."""
    plan: list[tuple[str, float, float]] = [("ordinary", 1.0, 0.0)] * count
    plan += [("constant", 0.0, value) for value in CONSTANTS]
    plan += [("huge", factor, 0.0) for factor in HUGE] + [("tiny", factor, 0.0) for factor in TINY]
    plan += [("offset", 1.0, OFFSET), ("offset", 1.0, -OFFSET)]
    ordinary = [_drawn((seed, index), *line) for index, line in enumerate(plan)]
    single = [_drawn((seed, len(plan) + index), "one value", 1.0, 0.0, shape) for index, shape in enumerate(ONE_VALUE)]
    return ordinary + single


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
