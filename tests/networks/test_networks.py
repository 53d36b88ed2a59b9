"""The networks are what the assignment and its source material say: layers, sizes, adds, blocks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from normbench.config import NetworkConfig
from normbench.errors import UnfitNormError, UsageError
from normbench.networks import NETWORKS, build, count_parameters, default_widths
from normbench.networks.blocks import ACTIVATIONS, Block
from normbench.norms import NORMS, Norm

ASSIGNMENT = ["C1", "C2", "c3", "P1", "C3", "C4", "C5", "c6", "P2", "C7", "C8", "C9", "GAP", "C10"]
WIDTHS = (4, 6, 8, 10, 12, 14, 16, 18, 20, 22)
# Parameters of a norm on `c` channels of a side x side map, with the bias of the convolution where it adds none.
NORM_PARAMETERS = {
    "bn": lambda c, side: 2 * c,
    "gn": lambda c, side: 2 * c,
    "ln": lambda c, side: 2 * c,
    "in": lambda c, side: 2 * c,
    "ln-c": lambda c, side: 2 * c,
    "rms": lambda c, side: c,
    "rms-c": lambda c, side: c,
    "scale": lambda c, side: 1,
    "dyt": lambda c, side: 2 * c + 1,
    "derf": lambda c, side: 2 * c + 2,
    "frn": lambda c, side: 3 * c,
    "evonorm-s0": lambda c, side: 3 * c,
    "brn": lambda c, side: 2 * c,
    "gbn": lambda c, side: 2 * c,
    "ebn": lambda c, side: 2 * c,
    "sn": lambda c, side: 2 * c + 6,
    "bin": lambda c, side: 3 * c,
    "ln-chw": lambda c, side: 2 * c * side * side,
    "lrn": lambda c, side: c,
    "none": lambda c, side: c,
}
WITHOUT_SHIFT = {"rms", "rms-c", "scale"}
"""By definition."""
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def c10(norm: str = "bn", groups: int = 4, **settings) -> nn.Module:
    return build(NetworkConfig(**settings), Norm.parse(norm, groups))


def by_hand(widths: tuple[int, ...], norm: str, block: str) -> int:
    """Parameters of c10 from its widths: convolutions, norms, classifier."""
    inputs = (3, *widths[:-1])
    small = {2, 6}  # places of c3 and c6
    sides = (32,) * 3 + (16,) * 4 + (8,) * 3
    total = widths[-1] * 10 + 10
    for place, (i, o, side) in enumerate(zip(inputs, widths, sides, strict=True)):
        capital = 9 * i * o if block == "plain" else 9 * 2 * i + 2 * i * o
        if block == "separable" and place:
            without_activation = i if NORMS[norm].activates else 0  # none follows the norm in the middle
            capital = 9 * i + NORM_PARAMETERS[norm](i, side) - without_activation + i * o
        elif block == "separable":
            capital = 9 * i * o
        total += (i * o if place in small else capital) + NORM_PARAMETERS[norm](o, side)
    return total


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("block", ["plain", "depthwise", "separable"])
def test_c10_has_the_parameters_its_widths_say(norm, block):
    own = c10(norm, block=block)
    assert count_parameters(own) == by_hand(default_widths("c10"), norm, block)
    other = c10(norm, groups=2, block=block, widths=WIDTHS, residual=False)
    assert count_parameters(other) == by_hand(WIDTHS, norm, block)


@pytest.mark.parametrize("switch", ["+wn", "+cwn"])
def test_weight_normalization_adds_a_length_a_kernel(switch):
    assert count_parameters(c10(f"gn{switch}")) == count_parameters(c10("gn")) + sum(default_widths("c10"))


@pytest.mark.parametrize("norm", [*(name for name in NORMS if name != "ln-chw"), "gn+wn"])
def test_c10_has_fewer_than_50000_parameters_with_every_norm_of_per_channel_parameters(norm):
    assert count_parameters(c10(norm)) < 50_000


@pytest.mark.parametrize(("name", "norm", "published"), [("dwnet", "bn", 5_882), ("lnet", "ln", 73_770)])
def test_the_networks_of_the_source_material_have_their_published_sizes(name, norm, published):
    assert count_parameters(build(NetworkConfig(name=name), Norm.parse(norm))) == published


@pytest.mark.parametrize("norm", [*NORMS, "none+ws", "gn+ws"])
@pytest.mark.parametrize("settings", [{"name": "c10"}, {"block": "depthwise"}, {"name": "dwnet"}, {"name": "lnet"}])
def test_the_last_convolution_of_a_block_has_a_bias_where_the_norm_adds_none(norm, settings):
    """In dwnet and lnet C1 has one besides, whatever the norm, as published; rms is without a shift by definition."""
    network = c10(norm, **settings)
    for block in (module for module in network.modules() if isinstance(module, Block)):
        *inner, last = [module for module in block.conv.modules() if isinstance(module, nn.Conv2d)]
        published = "name" in settings and settings["name"] != "c10" and block is network.C1
        assert not any(module.bias is not None for module in inner)
        assert (last.bias is not None) == (published or norm in {"none", "lrn", "none+ws"})
        assert hasattr(block.norm, "bias") == (norm not in {"none", "lrn", "none+ws", *WITHOUT_SHIFT})


def test_a_shift_before_none_and_lrn_is_what_the_shift_of_a_norm_is():
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for norm in ("none", "lrn"):
        block = c10(norm).eval().C1
        before = block.norm(block.conv(images))
        with torch.no_grad():
            block.conv.bias.fill_(0.5)
        moved = block.norm(block.conv(images)) - before
        torch.testing.assert_close(moved, torch.full_like(moved, 0.5), rtol=0, atol=0.01)


def test_c10_has_the_assignments_layers_and_runs_them_in_order():
    network, passed = c10(), []
    assert [name for name, _ in network.named_children()] == ASSIGNMENT
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: passed.append(name))
    network(IMAGES)
    assert passed == ASSIGNMENT


def test_capital_blocks_are_3x3_small_ones_1x1_and_pools_halve():
    network = c10()
    for name, child in network.named_children():
        if isinstance(child, Block):
            assert child.conv.kernel_size == ((3, 3) if name.startswith("C") else (1, 1))
    assert network.C10.kernel_size == (1, 1)
    for pool in (network.P1, network.P2):
        assert pool(torch.rand(1, 4, 32, 32)).shape == (1, 4, 16, 16)


@pytest.mark.parametrize("block", ["plain", "depthwise", "separable"])
def test_residual_adds_go_around_c4_c5_c8_and_c9(block):
    network = c10(block=block).eval()
    layer = dict(network.named_children())
    x = layer["P1"](layer["c3"](layer["C2"](layer["C1"](IMAGES))))
    x = layer["C3"](x)
    x = x + layer["C4"](x)
    x = x + layer["C5"](x)
    x = layer["C7"](layer["P2"](layer["c6"](x)))
    x = x + layer["C8"](x)
    x = x + layer["C9"](x)
    torch.testing.assert_close(network(IMAGES), layer["C10"](x.mean((2, 3), keepdim=True)).flatten(1))


def test_without_residual_adds_c10_is_the_plain_chain():
    plain, residual = c10(residual=False).eval(), c10().eval()
    plain.load_state_dict(residual.state_dict())
    torch.testing.assert_close(plain(IMAGES), nn.Sequential(*plain.children())(IMAGES).flatten(1))
    assert not torch.allclose(plain(IMAGES), residual(IMAGES), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("norm", ["bn", "gn", "none", "lrn"])
def test_a_separable_block_filters_every_channel_normalizes_and_mixes(norm):
    conv = c10(norm, block="separable").C2.conv
    assert [name for name, _ in conv.named_children()] == ["depthwise", "norm", "pointwise"]
    x = torch.rand(2, 16, 8, 8)
    moved = x.clone()
    moved[:, 5] += 1
    changed = (conv.depthwise(x) != conv.depthwise(moved)).any(-1).any(-1).any(0)
    assert changed.nonzero().flatten().tolist() == [5]
    torch.testing.assert_close(conv(x), conv.pointwise(conv.norm(conv.depthwise(x))))
    assert (conv.depthwise.bias is not None) == (norm in {"none", "lrn"})
    assert conv.pointwise.kernel_size == (1, 1)


def test_a_depthwise_block_filters_every_channel_on_its_own_and_then_mixes_them():
    spatial, mixing = c10(block="depthwise").C2.conv
    x = torch.rand(1, 16, 8, 8)
    moved = x.clone()
    moved[:, 5] += 1
    changed = (spatial(x) != spatial(moved)).any(-1).any(-1).any(0)
    assert changed.nonzero().flatten().tolist() == [10, 11]
    assert mixing.kernel_size == (1, 1)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_dropout_stands_between_norm_and_activation_only_where_it_is_asked_for(dropout):
    for block in (module for module in c10(dropout=dropout).modules() if isinstance(module, Block)):
        names = [name for name, _ in block.named_children()]
        assert names == (["conv", "norm", "drop", "act"] if dropout else ["conv", "norm", "act"])
        assert not dropout or block.drop.p == dropout


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_block_has_the_activation_that_was_asked_for(activation):
    for block in (module for module in c10(activation=activation).modules() if isinstance(module, Block)):
        assert torch.equal(block.act(IMAGES), getattr(F, activation)(IMAGES))


def test_c5_of_dwnet_is_dilated_and_maps_8x8_to_6x6():
    network, maps = build(NetworkConfig(name="dwnet"), Norm.parse("bn")), []
    network.C5.register_forward_hook(lambda _, inputs, output: maps.extend((inputs[0].shape[2:], output.shape[2:])))
    network(IMAGES)
    assert maps == [(8, 8), (6, 6)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_a_score_for_every_class(name):
    assert build(NetworkConfig(name=name), Norm.parse("gn"), classes=7)(IMAGES).shape == (2, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrong_number_of_widths_is_refused_with_the_networks_own(name):
    with pytest.raises(UsageError, match=f"{name} takes .* widths, but 11 are given") as error:
        build(NetworkConfig(name=name, widths=(8,) * 11), Norm.parse("bn"))
    assert str(list(default_widths(name))) in error.value.hint


def test_unequal_widths_inside_a_residual_stage_are_refused():
    with pytest.raises(UsageError, match="residual adds need equal widths"):
        c10(widths=WIDTHS)
    with pytest.raises(UsageError, match="unknown network 'c11'"):
        c10(name="c11")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("norm", [norm for norm, info in NORMS.items() if info.activates])
def test_a_norm_brings_its_activation_where_another_has_one_after_it_and_nowhere_else(norm, name):
    """As many activations as with gn, those that norms bring included; with the argument, all are the network's."""
    config = NetworkConfig(name=name, activation="elu")

    def activations(spec: str) -> tuple[int, int]:
        try:
            modules = list(build(config, Norm.parse(spec)).modules())
        except UnfitNormError:
            pytest.skip(f"{spec} has no meaning in {name}")
        brought = [
            one for one in modules if getattr(one, "tau", None) is not None or getattr(one, "v", None) is not None
        ]
        return sum(isinstance(one, nn.ELU) for one in modules), len(brought)

    (expected, none), (left, brought) = activations("gn"), activations(norm)
    assert none == 0
    blocks = any(isinstance(one, Block) for one in build(config, Norm.parse("gn")).modules())
    assert (brought > 0) == blocks
    assert left + brought == expected
    assert activations(f"{norm}(activation=false)") == (expected, 0)


def test_an_activated_norm_is_not_activated_twice_in_a_block():
    block = c10("frn", activation="tanh").eval().C4
    x = 5 * torch.randn(2, 28, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), block.norm(block.conv(x)))
    assert block(x).max() > 1.5
