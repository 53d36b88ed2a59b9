"""Search space, the same for every norm."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Strict, StrictBool, StrictStr, Tag, model_validator

from normbench.config.settings import Frozen, Switch

Whole = Annotated[int, Strict(), Field(ge=-(2**53), le=2**53)]
Number = Annotated[float, Strict(), Field(ge=-1e30, le=1e30)]
Value = StrictBool | Whole | Number | StrictStr


class Range(Frozen):
    """Interval that a number is drawn from."""

    low: Number
    high: Number
    log: Switch = True
    """Draw the logarithm uniformly; else the number itself."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        """Refuse an interval without a value inside, and the logarithm of zero."""
        if not self.low < self.high:
            raise ValueError(f"a range from {self.low:g} to {self.high:g} holds nothing: low must be below high")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range cannot begin at {self.low:g}; low > 0, or log = false")
        return self


Choices = Annotated[tuple[Value, ...], Field(min_length=1, max_length=64)]


def _form(value: Any) -> str:
    return "values" if isinstance(value, list | tuple) else "range"


Dimension = Annotated[Annotated[Range, Tag("range")] | Annotated[Choices, Tag("values")], Discriminator(_form)]
"""Values of one setting: an interval `{low, high}`, or a list."""


class SearchSpace(Frozen):
    """Settings that `tune` searches, the same for every norm; one without a dimension keeps the recipe's value.

    What decides how much is trained and what a step costs (epochs, batch size, precision, network) is not searched, so
    that every norm has the same budget.
    """

    lr: Dimension | None = Range(low=1e-3, high=1.0)
    weight_decay: Dimension | None = Range(low=1e-5, high=1e-2)
    decay_norms: Dimension | None = None
    momentum: Dimension | None = None
    label_smoothing: Dimension | None = None
    l1: Dimension | None = None
    warmup: Dimension | None = None
    gamma: Dimension | None = None
    norm: dict[str, dict[str, Dimension]] = Field(default_factory=dict)
    """Arguments of single norms, as in `[search.norm.gn]` `groups = [2, 4, 8]`."""

    @property
    def settings(self) -> dict[str, Range | tuple[Value, ...]]:
        """Dimensions that all norms share, by name."""
        dimensions = ((name, getattr(self, name)) for name in type(self).model_fields if name != "norm")
        return {name: dimension for name, dimension in dimensions if dimension is not None}


def ends(dimension: Range | tuple[Value, ...]) -> Iterator[Value]:
    """Both ends of an interval, or every value of a list: if these are valid, all that is drawn is."""
    yield from (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension
