"""Norms against their definitions in float64, against torch's own functions, and against each other."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.networks import build
from normbench.norms import NORMS, Norm
from normbench.reference import definition

CHANNELS, HEIGHT, WIDTH = 8, 6, 5
EPS = 1e-5


@pytest.fixture
def x() -> Tensor:
    return 3 * torch.randn(4, CHANNELS, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) + 1


def layer(name: str, x: Tensor, groups: int = 4) -> nn.Module:
    made = Norm.parse(name, groups).make(CHANNELS)
    made.eval()(x)
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=chance))
    return made.train()


def by_definition(name: str, norm: nn.Module, x: Tensor, groups: int = 4) -> Tensor:
    """Output of the float64 definition for x with the module's parameters, in train mode."""
    parameters = {key: value.double().numpy() for key, value in norm.state_dict().items()}
    return torch.from_numpy(
        definition(name, Norm.parse(name, groups).arguments).forward(x.double().numpy(), parameters, True)
    )


@pytest.mark.parametrize("name", NORMS)
def test_a_norm_is_its_float64_definition(name, x):
    norm = layer(name, x)
    torch.testing.assert_close(norm(x).double(), by_definition(name, norm, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_gn_is_its_definition_whatever_the_groups(groups, x):
    norm = layer("gn", x, groups)
    torch.testing.assert_close(norm(x).double(), by_definition("gn", norm, x, groups), rtol=1e-5, atol=1e-5)


def test_gn_with_one_group_is_ln_is_layer_norm_over_the_sample(x):
    one_group, ln = layer("gn", x, groups=1), layer("ln", x)
    by_torch = F.layer_norm(x.double(), (CHANNELS, HEIGHT, WIDTH))
    by_torch = by_torch * ln.weight.view(-1, 1, 1) + ln.bias.view(-1, 1, 1)
    torch.testing.assert_close(one_group(x), ln(x))
    torch.testing.assert_close(ln(x), by_torch.float(), rtol=1e-5, atol=1e-5)


def test_gn_with_a_group_for_every_channel_is_in(x):
    torch.testing.assert_close(layer("gn", x, groups=CHANNELS)(x), layer("in", x)(x), rtol=1e-5, atol=1e-5)


def test_ln_c_is_layer_norm_on_channels_last(x):
    norm = layer("ln-c", x)
    by_torch = F.layer_norm(x.permute(0, 2, 3, 1), (CHANNELS,), norm.weight, norm.bias, EPS).permute(0, 3, 1, 2)
    torch.testing.assert_close(norm(x), by_torch)


def test_ln_chw_is_torchs_layer_norm_with_its_parameters_per_position(x):
    norm, by_torch = layer("ln-chw", x), nn.LayerNorm([CHANNELS, HEIGHT, WIDTH])
    by_torch.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(x), by_torch(x))


@pytest.mark.parametrize("name", NORMS)
def test_memory_format_changes_no_result(name, x):
    norm = layer(name, x)
    torch.testing.assert_close(norm(x.contiguous(memory_format=torch.channels_last)), norm(x), rtol=1e-5, atol=1e-5)


def test_lrn_is_torchs_with_alexnets_five_neighbours(x):
    torch.testing.assert_close(layer("lrn", x)(x), F.local_response_norm(x, size=5))


def test_none_changes_nothing(x):
    assert torch.equal(layer("none", x)(x), x)


def test_bn_in_eval_mode_is_an_affine_map_of_each_channel(x):
    norm = layer("bn", x)
    norm(x)  # moves the running statistics
    norm.eval()
    shift = norm(torch.zeros(1, CHANNELS, 1, 1))
    scale = norm(torch.ones(1, CHANNELS, 1, 1)) - shift
    torch.testing.assert_close(norm(x), scale * x + shift, rtol=1e-4, atol=1e-4)


def kernels(conv: nn.Conv2d) -> Tensor:
    """The kernels a 3x3 convolution really applies, a row each, read off its answers to single pixels."""
    size = conv.in_channels * 9
    return conv(torch.eye(size).view(size, conv.in_channels, 3, 3)).flatten(1).T


def test_weight_standardization_gives_kernels_of_mean_0_and_variance_1():
    torch.manual_seed(0)
    conv = Norm.parse("gn+ws").conv(3, 16, 3, bias=False)
    with torch.no_grad():
        conv.weight.mul_(10).add_(1)
    torch.testing.assert_close(kernels(conv).mean(1), torch.zeros(16), rtol=0, atol=1e-5)
    torch.testing.assert_close(kernels(conv).var(1, correction=0), torch.ones(16), rtol=0, atol=1e-4)


@pytest.mark.parametrize("init", ["kaiming", "xavier", "torch"])
@pytest.mark.parametrize(("switch", "centered"), [("+wn", False), ("+cwn", True)])
def test_weight_normalization_begins_with_the_weights_that_were_drawn(switch, centered, init):
    config = NetworkConfig(init=init)
    plain, normalized = build(config, Norm.parse("gn")), build(config, Norm.parse(f"gn{switch}"))
    drawn = plain.C4.conv.weight - centered * plain.C4.conv.weight.mean((1, 2, 3), keepdim=True)
    normalized.C4.conv.padding = (0, 0)
    torch.testing.assert_close(kernels(normalized.C4.conv), drawn.flatten(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("switch", "centered"), [("+wn", False), ("+cwn", True)])
def test_weight_normalization_gives_kernels_the_learned_lengths(switch, centered):
    torch.manual_seed(0)
    conv = Norm.parse(f"gn{switch}").conv(3, 16, 3, bias=False)
    with torch.no_grad():
        conv.weight.mul_(10).add_(1)
        conv.scale.copy_(torch.linspace(0.5, 4, 16))
    torch.testing.assert_close(kernels(conv).norm(dim=1), conv.scale.detach(), rtol=1e-4, atol=1e-5)
    assert (kernels(conv).mean(1).abs().max().item() < 1e-5) is centered


@pytest.mark.parametrize(("name", "invariant"), [("gn+ws", True), ("gn+cwn", True), ("gn+wn", False), ("gn", False)])
def test_only_with_ws_a_constant_added_to_a_kernel_changes_nothing(name, invariant):
    network = build(NetworkConfig(), Norm.parse(name)).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    before = network(images)
    with torch.no_grad():
        network.C4.conv.weight[0] += 0.5
    assert torch.allclose(network(images), before, rtol=1e-3, atol=1e-4) is invariant
