"""Search space of one norm: its dimensions, the points of Sobol's sequence and of a grid, and the runs at a point."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import optuna
from scipy.stats import qmc

from normbench.config import Recipe, RunConfig, TrainingConfig
from normbench.config.norm_names import NormName
from normbench.config.recipes import COMMAND_LINE
from normbench.config.search import Range, Value
from normbench.config.validation import validated
from normbench.errors import UsageError
from normbench.norms import canonical_name

DIGITS = 3
"""Significant digits of a drawn number; more would make no difference."""
BORDER = 0.1
"""Fraction of an interval, at either end, in which a best value suggests that the interval is too short."""

Point = Mapping[str, Value]
"""Value of every searched setting, by name."""


@dataclass(frozen=True)
class Dimension:
    """One searched setting."""

    name: str
    values: Range | tuple[Value, ...]
    is_argument: bool = False
    """True for an argument of the norm, which is part of the norm's name."""

    def __str__(self) -> str:
        if isinstance(self.values, Range):
            return f"{self.name} {self.values.low:g} to {self.values.high:g}{' (log)' * self.values.log}"
        return f"{self.name} {', '.join(str(value).lower() for value in self.values)}"

    def at(self, share: float) -> Value:
        """Return the value at a fraction (0 to 1) of the dimension."""
        if not isinstance(self.values, Range):
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = self.values.low, self.values.high
        return self.rounded(low * (high / low) ** share if self.values.log else low + share * (high - low))

    def rounded(self, value: Value) -> Value:
        """Round a number of an interval to `DIGITS` significant digits; a value of a list stays unchanged."""
        if not isinstance(self.values, Range) or isinstance(value, str):
            return value
        return min(max(float(f"{value:.{DIGITS}g}"), self.values.low), self.values.high)

    def share(self, value: Value) -> float | None:
        """Return the fraction of the interval below a value; None for a list, which may have no order."""
        if not isinstance(self.values, Range) or isinstance(value, str):
            return None
        low, high = self.values.low, self.values.high
        if self.values.log:
            return float(np.log(value / low) / np.log(high / low))
        return (value - low) / (high - low)

    def beyond(self, value: Value) -> tuple[str, float] | None:
        """Return the end of the interval near a value, and a more distant end; None inside, and for a list."""
        share = self.share(value)
        if share is None or BORDER <= share <= 1 - BORDER:
            return None
        assert isinstance(self.values, Range)
        low, high = self.values.low, self.values.high
        step = (high / low) ** 0.5 if self.values.log else (high - low) / 2
        if share < BORDER:
            further = low / step if self.values.log else low - step
            return "low", float(f"{further:.1g}")
        further = high * step if self.values.log else high + step
        return "high", float(f"{further:.1g}")

    @property
    def distribution(self) -> optuna.distributions.BaseDistribution:
        """Distribution of Optuna for the dimension."""
        if isinstance(self.values, Range):
            return optuna.distributions.FloatDistribution(self.values.low, self.values.high, log=self.values.log)
        return optuna.distributions.CategoricalDistribution(self.values)


def dimensions(recipe: Recipe) -> dict[str, list[Dimension]]:
    """List the dimensions by norm: those that all norms share first, then arguments of the norm.

    Raises:
        UsageError: There is nothing to search, or arguments are to be searched for a norm that is not tuned.
    """
    shared = [Dimension(name, values) for name, values in recipe.search.settings.items()]
    arguments = {canonical_name(norm): space for norm, space in recipe.search.norm.items()}
    if other := [norm for norm in arguments if norm not in recipe.norms]:
        raise UsageError(
            f"[search.norm.{other[0]}]: {other[0]} is not among the norms that are tuned ({', '.join(recipe.norms)})",
            "Add it to --norms, or leave the section out.",
        )
    spaces = {
        norm: [*shared, *(Dimension(name, values, True) for name, values in arguments.get(norm, {}).items())]
        for norm in recipe.norms
    }
    for norm, space in spaces.items():
        if not space:
            raise UsageError(f"nothing to search for {norm}: [search] has no dimension", "Write lr = {low, high}.")
    return spaces


def sobol_points(spaces: Mapping[str, Sequence[Dimension]], trials: int, seed: int) -> dict[str, list[Point]]:
    """Draw points of one scrambled Sobol sequence for every norm; shared dimensions have the same values."""
    width = max(len(space) for space in spaces.values())
    exponent = int(np.ceil(np.log2(trials)))
    shares = qmc.Sobol(width, seed=seed).random_base2(exponent)[:trials]
    return {
        norm: [{d.name: d.at(float(share)) for d, share in zip(space, row, strict=False)} for row in shares]
        for norm, space in spaces.items()
    }


def grid_points(spaces: Mapping[str, Sequence[Dimension]], trials: int) -> dict[str, list[Point]]:
    """Make the finest grid of at most `trials` points for every norm: all values of lists, equally many of intervals.

    Raises:
        UsageError: Two values per interval are already more than `trials`.
    """
    return {norm: _grid(norm, space, trials) for norm, space in spaces.items()}


def _grid(norm: str, space: Sequence[Dimension], trials: int) -> list[Point]:
    listed = int(np.prod([1, *(len(d.values) for d in space if not isinstance(d.values, Range))]))
    intervals = sum(isinstance(d.values, Range) for d in space)
    if listed * 2**intervals > trials:
        raise UsageError(
            f"the coarsest grid of {norm}'s space has {listed * 2**intervals} points, more than {trials} trials",
            f"Give --trials {listed * 2**intervals} or more, or --sampler sobol.",
        )
    steps = 2
    while intervals and listed * (steps + 1) ** intervals <= trials:
        steps += 1
    axes = [
        [d.at(index / (steps - 1)) for index in range(steps)] if isinstance(d.values, Range) else list(d.values)
        for d in space
    ]
    names = [d.name for d in space]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*axes)]


def run_at(
    recipe: Recipe, norm: str, point: Point, space: Sequence[Dimension], *, seed: int, max_params: int
) -> RunConfig:
    """Return the run of a norm at a point, scored on the validation split; the test images stay unread.

    Raises:
        UsageError: The point is no valid setting.
    """
    config = recipe.run(tuned_name(norm, point, space), seed, max_params=max_params, read_test=False, tuned=None)
    searched = {d.name: point[d.name] for d in space if not d.is_argument}
    training = validated(TrainingConfig, config.training.model_dump() | searched, COMMAND_LINE)
    return config.model_copy(update={"training": training})


def tuned_name(norm: str, point: Point, space: Sequence[Dimension]) -> str:
    """Return the canonical name of the norm with the searched arguments."""
    name = NormName.parse(norm)
    arguments = {d.name: point[d.name] for d in space if d.is_argument}
    return canonical_name(str(replace(name, arguments={**name.arguments, **arguments})))
