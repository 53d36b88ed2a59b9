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


def test_ebn_on_one_channel_is_bn(x):
    extended, batch = Norm.parse("ebn").make(1), Norm.parse("bn").make(1)
    one = x[:, :1]
    torch.testing.assert_close(extended(one), batch(one), rtol=1e-5, atol=1e-5)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(extended.get_buffer(name), batch.get_buffer(name))
    torch.testing.assert_close(extended.eval()(one), batch.eval()(one), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("share", "name"), [(0, "in"), (1, "ln"), (2, "bn")])
def test_sn_with_the_whole_share_of_one_norm_is_that_norm(share, name, x):
    switchable, alone = Norm.parse("sn").make(CHANNELS), layer(name, x)
    with torch.no_grad():
        switchable.weight.copy_(alone.weight)
        switchable.bias.copy_(alone.bias)
        for weights in (switchable.mean_weight, switchable.var_weight):
            weights[share] = 100.0
    torch.testing.assert_close(switchable(x), alone(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("gate", "name"), [(0.0, "in"), (-3.0, "in"), (1.0, "bn"), (2.5, "bn")])
def test_bin_at_either_end_of_its_gate_is_in_or_bn(gate, name, x):
    mixed, alone = Norm.parse("bin").make(CHANNELS), Norm.parse(name).make(CHANNELS)
    nn.init.constant_(mixed.gate, gate)
    for mode in (True, False):
        torch.testing.assert_close(mixed.train(mode)(x), alone.train(mode)(x), rtol=1e-5, atol=1e-5)


def test_the_gate_of_bin_goes_on_from_the_edge_that_a_step_has_passed(x):
    norm = Norm.parse("bin").make(CHANNELS)
    nn.init.constant_(norm.gate, 1.7)
    norm.eval()(x)
    assert (norm.gate == norm.gate.new_tensor(1.7)).all()
    norm.train()
    (norm(x) * norm(x).detach() + norm(2 * x)).square().sum().backward()  # used more than once in a step
    assert (norm.gate == 1).all()
    assert (norm.gate.grad != 0).all()


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
