"""The networks of other architectures: sizes by hand, and a short training with every norm that fits."""

from collections import Counter

import pytest
import torch
from helpers.digests import fits
from helpers.small import start, train_epoch

from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import load
from normbench.errors import UsageError
from normbench.networks import build, count_parameters
from normbench.networks.blocks import norm_layers
from normbench.norms import NORMS, Norm
from normbench.training import Training

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def conv(inputs: int, outputs: int, size: int = 3) -> int:
    """Weights of a convolution without a bias."""
    return size * size * inputs * outputs


def resnet() -> tuple[int, list[int]]:
    """Stem, 2 * 3 convolutions a stage, and the classifier; a norm for each convolution."""
    weights = conv(3, 8) + 6 * conv(8, 8)
    weights += conv(8, 16) + 5 * conv(16, 16)
    weights += conv(16, 24) + 5 * conv(24, 24)
    return weights + 24 * 10 + 10, [8] * 7 + [16] * 6 + [24] * 6


BY_HAND = {"resnet": resnet}
"""By network: weights and biases beside the norms, and the channels of its norms."""


def network(name: str, norm: str = "bn", **settings) -> torch.nn.Module:
    return build(NetworkConfig(name=name, **settings), Norm.parse(norm))


@pytest.mark.parametrize("name", BY_HAND)
def test_a_network_has_the_weights_and_norms_of_the_formula(name):
    weights, channels = BY_HAND[name]()
    built = network(name)
    norms = list(norm_layers(built).values())
    assert Counter(layer.num_features for layer in norms) == Counter(channels)
    assert count_parameters(built) - sum(map(count_parameters, norms)) == weights
    assert count_parameters(built) == weights + 2 * sum(channels) < 50_000


@pytest.mark.parametrize("name", BY_HAND)
def test_every_width_is_a_multiple_of_8_so_that_8_groups_fit(name):
    assert all(channels % 8 == 0 for channels in BY_HAND[name]()[1])
    assert network(name, "gn(groups=8)")(IMAGES).shape == (2, 10)


@pytest.mark.parametrize(("name", "norm"), [(name, norm) for name in BY_HAND for norm in NORMS if fits(name, norm)])
def test_a_network_trains_with_every_norm_that_fits(name, norm, few):
    config = RunConfig(
        norm=norm,
        network=NetworkConfig(name=name),
        data=DataConfig(name="digits"),
        training=TrainingConfig(epochs=1, batch_size=8, lr=0.01, schedule="constant"),
    )
    training: Training = start(config, few)
    before = {name: value.clone() for name, value in training.network.named_parameters()}
    train_epoch(training, 1)
    after = dict(training.network.named_parameters())
    assert all(value.isfinite().all() for value in after.values())
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert still == set(), "every parameter is trained"
    assert norm == "ln-chw" or count_parameters(training.network) < 50_000


@pytest.fixture(scope="module")
def few():
    """16 training images."""
    return load(DataConfig(name="digits", subset=16), MachineConfig(), torch.device("cpu"))


def test_the_shortcut_of_resnet_takes_every_second_position_and_adds_channels_of_zeros():
    shortcut = network("resnet").stage2[0].shortcut
    x = torch.randn(2, 8, 6, 6)
    y = shortcut(x)
    assert torch.equal(y[:, :8], x[:, :, ::2, ::2])
    assert y.shape == (2, 16, 3, 3)
    assert not y[:, 8:].any()


def test_resnet_adds_the_shortcut_before_the_last_activation_of_a_block():
    block = network("resnet").eval().stage1[1]
    x = torch.randn(2, 8, 6, 6)
    y = block.first.act(block.first.norm(block.first.conv(x)))
    expected = torch.relu(x + block.second.norm(block.second.conv(y)))
    torch.testing.assert_close(block(x), expected)


def test_resnet_has_20_layers_with_weights():
    layers = [module for module in network("resnet").modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(layers) == 20


def test_decreasing_widths_of_resnet_are_refused():
    with pytest.raises(UsageError, match="16 8 24 decrease"):
        network("resnet", widths=(16, 8, 24))
