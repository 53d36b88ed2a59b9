"""Arithmetic that carries error bounds along: every value with the magnitude of its terms.

A definition that is evaluated with `Rounded` arrays gives the value and its terms at once (running error analysis:
Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.3). With u the rounding of the precision and k
the roundings on the longest way from an input to a result, the result of a program is off by at most k u times its
terms, to first order in u: each rule below is the error that an operation passes on, and its own rounding is covered
since terms are never below the value.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from normbench.reference.standardize import Array

UNDERFLOW = 2.0**-102
"""The smallest normal float32 divided by its rounding: below, errors are absolute."""
NEAR = 64
"""Roundings within which two values may be taken for each other's larger one."""
UNSURE = 2.0**24
"""Terms of a choice that rounding can turn over: one rounding of float32 is then as large as the choice itself."""


def _power(values: list[Array], terms: list[Array], _result: Array) -> Array:
    base, exponent = values
    passed: Array = np.abs(exponent) * np.abs(base) ** (exponent - 1) * terms[0]
    return passed


def _root(_values: list[Array], terms: list[Array], result: Array) -> Array:
    passed: Array = terms[0] / np.maximum(2 * result, np.sqrt(terms[0]))  # at 0 the root of the error
    return passed


RULES: dict[np.ufunc, Callable[[list[Array], list[Array], Array], Array]] = {
    np.add: lambda _v, t, _r: t[0] + t[1],
    np.subtract: lambda _v, t, _r: t[0] + t[1],
    np.multiply: lambda v, t, _r: np.abs(v[0]) * t[1] + np.abs(v[1]) * t[0],
    np.true_divide: lambda v, t, _r: t[0] / np.abs(v[1]) + np.abs(v[0]) * t[1] / v[1] ** 2,
    np.negative: lambda _v, t, _r: t[0],
    np.absolute: lambda _v, t, _r: t[0],
    np.power: _power,
    np.sqrt: _root,
    np.exp: lambda _v, t, r: r * t[0],
    np.tanh: lambda _v, t, r: (1 - r**2) * t[0],
    np.maximum: lambda _v, t, _r: np.maximum(*t),
    np.minimum: lambda _v, t, _r: np.maximum(*t),
}


class Rounded(NDArrayOperatorsMixin):
    """An array with the magnitude of its terms; an input's is its own."""

    def __init__(self, value: Array, terms: Array | float = 0.0) -> None:
        self.value = value
        self.terms: Array = np.maximum(terms, np.abs(value)) + UNDERFLOW

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        """Apply a function of NumPy, and its rule."""
        if method != "__call__" or settings or ufunc not in RULES:
            return NotImplemented
        rounded = [x if isinstance(x, Rounded) else Rounded(np.asarray(x, dtype=float)) for x in inputs]
        values = [x.value for x in rounded]
        result = ufunc(*values)
        return Rounded(result, RULES[ufunc](values, [x.terms for x in rounded], result))

    def through(self, function: Callable[[Array], Array], slope: Callable[[Array], Array]) -> "Rounded":
        """Apply a function that NumPy lacks, element by element; `slope` is its derivative."""
        return Rounded(function(self.value), np.abs(slope(self.value)) * self.terms)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Rounded":
        """Sum as NumPy does; the terms add up."""
        return Rounded(self.value.sum(axis, keepdims=keepdims), self.terms.sum(axis, keepdims=keepdims))

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Rounded":
        """Average as NumPy does."""
        return Rounded(self.value.mean(axis, keepdims=keepdims), self.terms.mean(axis, keepdims=keepdims))

    def reshape(self, *shape: Any) -> "Rounded":
        """Give value and terms another shape."""
        return Rounded(self.value.reshape(*shape), self.terms.reshape(*shape))

    def __getitem__(self, index: Any) -> "Rounded":
        """Select from value and terms."""
        return Rounded(self.value[index], self.terms[index])

    def __len__(self) -> int:
        return len(self.value)

    @property
    def shape(self) -> tuple[int, ...]:
        """Same as that of the value."""
        return self.value.shape

    @property
    def size(self) -> int:
        """Number of values."""
        return self.value.size

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.value.ndim


def erf(x: Any) -> Any:
    """The error function 2 / √π ∫ exp(-t²) dt from 0 to x, element by element."""
    if isinstance(x, Rounded):
        return x.through(erf, erf_slope)
    return np.vectorize(math.erf, otypes=[float])(x)


def erf_slope(x: Any) -> Any:
    """Its derivative, 2 / √π exp(-x²)."""
    return 2 / math.sqrt(math.pi) * np.exp(-(x**2))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), with no exponential that overflows."""
    if isinstance(x, Rounded):
        return x.through(sigmoid, lambda at: sigmoid(at) * sigmoid(-at))
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def exceeds(x: Any, threshold: Any) -> Any:
    """1 where x > threshold, else 0; unsure where rounding decides."""
    if not isinstance(x, Rounded):
        return (x > threshold).astype(float)
    distance = x - threshold
    close = np.abs(distance.value) <= NEAR * 2.0**-24 * distance.terms
    chosen = (distance.value > 0).astype(float)
    return Rounded(chosen, np.where(close, UNSURE, chosen))


def joined(parts: list[Any]) -> Any:
    """Arrays one after another along the first axis."""
    if not isinstance(parts[0], Rounded):
        return np.concatenate(parts)
    return Rounded(np.concatenate([part.value for part in parts]), np.concatenate([part.terms for part in parts]))
