"""Initial weights: the distributions asked for, and one seed, one start, for every norm alike."""

import math

import pytest
import torch
from torch import nn

from normbench.config import NetworkConfig
from normbench.networks import NETWORKS, build
from normbench.norms import NORMS, Norm

INITS = ("torch", "kaiming", "xavier")


def weights(norm: str = "bn", seed: int = 0, **settings) -> dict[str, torch.Tensor]:
    """Weights and biases of every convolution and linear layer, by name."""
    network = build(NetworkConfig(**settings), Norm.parse(norm), seed=seed)
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    return {f"{name}.{key}": tensor for name, layer in layers.items() for key, tensor in layer.state_dict().items()}


def equal(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_same_weights_and_other_seed_other_weights(name, init):
    assert equal(weights(name=name, init=init, seed=1), weights(name=name, init=init, seed=1))
    assert not equal(weights(name=name, init=init, seed=1), weights(name=name, init=init, seed=2))


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_starts_from_the_same_convolutions(norm, init):
    found, expected = weights(norm, init=init), weights("bn", init=init)
    assert equal({name: found[name] for name in expected}, expected)
    assert not any(found[name].any() for name in found.keys() - expected.keys())  # the biases that stand in for a shift
    assert bool(found.keys() - expected.keys()) == (norm in {"none", "lrn"})


@pytest.mark.parametrize("norm", NORMS)
def test_building_leaves_torchs_random_state_as_it_was(norm):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    build(NetworkConfig(dropout=0.1), Norm.parse(norm), seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_kaiming_has_variance_2_over_fan_in_and_no_bias():
    found = weights(init="kaiming")
    for name, weight in found.items():
        if weight.numel() > 1000:
            assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.1), name
    assert not found["C10.bias"].any()


def test_xavier_fills_its_uniform_range_and_has_no_bias():
    found = weights(init="xavier")
    for name, weight in found.items():
        if weight.numel() > 1000:
            outputs, inputs, *kernel = weight.shape
            bound = math.sqrt(6 / ((inputs + outputs) * math.prod(kernel)))
            assert 0.98 * bound < weight.abs().max() <= bound, name
    assert not found["C10.bias"].any()


def test_torchs_own_init_fills_its_uniform_range():
    for name, weight in weights(init="torch").items():
        if weight.numel() > 1000:
            bound = 1 / math.sqrt(weight[0].numel())
            assert 0.98 * bound < weight.abs().max() <= bound, name


@pytest.mark.parametrize("init", ["torch", "kaiming", "xavier"])
def test_a_gain_scales_every_weight_and_nothing_else(init):
    plain, scaled = (
        build(NetworkConfig(init=init, init_gain=gain), Norm.parse("bn")).state_dict() for gain in (1.0, 0.25)
    )
    for name, value in plain.items():
        factor = 0.25 if value.dim() == 4 else 1.0
        assert torch.equal(scaled[name], value * factor), name


@pytest.mark.parametrize("norm", ["bn", "gn", "ln", "in", "ln-c", "ln-chw"])
def test_norms_start_as_the_identity_affine(norm):
    start = build(NetworkConfig(), Norm.parse(norm)).C4.norm
    assert torch.equal(start.weight, torch.ones_like(start.weight))
    assert torch.equal(start.bias, torch.zeros_like(start.bias))
