"""The oracle itself: its backward formulas against finite differences, and the properties its formulas promise."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normbench.errors import UsageError
from normbench.norms import NORMS
from normbench.norms.weights import WEIGHTS
from normbench.reference import Definition, definition, dropout, normalized_convolution, norms, standardized_convolution
from normbench.reference.standardize import standardize

SHAPE = (3, 4, 3, 2)


def subject(name: str, groups: int = 2) -> Definition:
    switches = {
        "+ws": standardized_convolution(5),
        "+wn": normalized_convolution(5, centered=False),
        "+cwn": normalized_convolution(5, centered=True),
    }
    return (switches | {"dropout": dropout(0.3)}).get(name) or definition(
        name, {"groups": groups} if name == "gn" else {}
    )


def parameters(name: str, chance: np.random.Generator, shape: tuple[int, ...] = SHAPE) -> dict[str, np.ndarray]:
    """Random ones; variances are positive, and gates between their bounds, where the gradient is cut off.

    The moving deviations of `brn` are so small that r and d are at their bounds: they are constants to its gradient.
    """
    if name == "dropout":
        return {"mask": (chance.random(shape) < 0.7).astype(float)}
    positive = {"running_var": (1, 2), "running_std": (0.001, 0.002), "gate": (0.1, 0.9)}
    counters = {"num_batches_tracked": np.array(1_500.0)} if name == "brn" else {}
    return counters | {
        key: chance.uniform(*positive[key], own) if key in positive else chance.normal(size=own)
        for key, own in subject(name).parameters(shape).items()
    }


def slope(function, at: np.ndarray, along: np.ndarray, step: float = 2e-4) -> float:
    """The derivative along a direction: differences of fourth order, so that the step need not be small."""
    near, far = (function(at + h * along) - function(at - h * along) for h in (step, 2 * step))
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", [*NORMS, *WEIGHTS, "dropout"])
def test_backward_is_the_slope_of_forward(name, training):
    chance, norm = np.random.default_rng(0), subject(name)
    x, p = 3 * chance.normal(size=SHAPE) + 1, parameters(name, chance)
    dy = chance.normal(size=norm.forward(x, p, training).shape)
    found = norm.backward(dy, x, p, training)
    for _ in range(5):
        along = chance.normal(size=SHAPE)
        expected = slope(lambda at: (dy * norm.forward(at, p, training)).sum(), x, along)
        assert (found.x * along).sum() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert set(found.parameters) == {key for key in p if not re.match("mask|running|num", key)}
    for key, gradient in found.parameters.items():
        along = chance.normal(size=p[key].shape)
        expected = slope(lambda at, key=key: (dy * norm.forward(x, p | {key: at}, training)).sum(), p[key], along)
        assert (gradient * along).sum() == pytest.approx(expected, rel=1e-9, abs=1e-9)


shapes = st.tuples(st.integers(1, 4), st.sampled_from([4, 8]), st.integers(1, 5), st.integers(1, 5))


@settings(deadline=None, max_examples=30)
@given(shape=shapes, mean=st.floats(-50, 50), deviation=st.floats(0.5, 20), seed=st.integers(0, 2**31))
def test_standardized_values_have_mean_0_and_a_variance_of_at_most_1(shape, mean, deviation, seed):
    x = mean + deviation * np.random.default_rng(seed).normal(size=shape)
    for axes in (norms.BATCH, norms.SAMPLE, norms.IMAGE, norms.POSITION):
        x_hat = standardize(x, axes)
        assert np.abs(x_hat.mean(axes)).max() < 1e-11
        var = x.var(axes)
        np.testing.assert_allclose(x_hat.var(axes), var / (var + 1e-5), rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(shape=shapes, scale=st.floats(0.5, 100), seed=st.integers(0, 2**31))
def test_a_gradient_sums_up_to_0_over_what_shares_a_mean(shape, scale, seed):
    """A shift of all of these values changes nothing."""
    chance = np.random.default_rng(seed)
    x, dy = scale * chance.normal(size=shape), chance.normal(size=shape)
    for name, axes in (("bn", norms.BATCH), ("ln", norms.SAMPLE), ("in", norms.IMAGE), ("ln-c", norms.POSITION)):
        found = subject(name).backward(dy, x, parameters(name, chance, shape), True).x
        assert np.abs(found.sum(axes)).max() <= 1e-11 * max(1.0, np.abs(found).max()) * x.size


@settings(deadline=None, max_examples=30)
@given(shape=shapes, seed=st.integers(0, 2**31))
def test_group_norm_has_layer_norm_and_instance_norm_at_its_ends(shape, seed):
    chance = np.random.default_rng(seed)
    x, p = chance.normal(size=shape), parameters("gn", chance, shape)
    for groups, other in ((1, norms.SAMPLE), (shape[1], norms.IMAGE)):
        one, two = (
            norms.group_norm(x, p["weight"], p["bias"], groups),
            norms.normalize(x, p["weight"], p["bias"], other),
        )
        np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


def test_running_statistics_take_the_unbiased_variance():
    x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    mean, var = norms.running_statistics(x, np.zeros(1), np.ones(1))
    assert (mean.item(), var.item()) == (pytest.approx(0.2), pytest.approx(0.9 + 0.1 * 2))


def test_rounding_is_measured_by_terms_that_are_never_below_the_result():
    chance = np.random.default_rng(1)
    for name in [*NORMS, *WEIGHTS, "dropout"]:
        norm, p = subject(name), parameters(name, chance)
        x = chance.normal(size=SHAPE) + 5
        y = norm.forward(x, p, True)
        dy = chance.normal(size=y.shape)
        found, measured = norm.backward(dy, x, p, True), norm.backward_magnitudes(dy, x, p, True)
        assert (norm.forward_magnitudes(x, p, True) >= np.abs(y)).all()
        assert (measured.x >= np.abs(found.x) * (1 - 1e-12)).all()
        for key, gradient in found.parameters.items():
            assert (measured.parameters[key] >= np.abs(gradient) * (1 - 1e-12)).all()


def test_every_registered_norm_is_defined_and_no_other():
    for name in NORMS:
        assert isinstance(definition(name), Definition)
    with pytest.raises(UsageError, match="unknown definition 'bnn'"):
        definition("bnn")
