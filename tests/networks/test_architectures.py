"""The networks of other architectures: sizes by hand, and a short training with every norm that fits."""

from collections import Counter

import pytest
import torch
from helpers.digests import OF_VECTORS, fits
from helpers.small import start, train_epoch

from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.data import load
from normbench.errors import UnfitNormError, UsageError
from normbench.model_summary.layers import layer_rows
from normbench.networks import NETWORKS, build, count_parameters, draws_random_numbers
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


def convnext() -> tuple[int, list[int]]:
    """Patches of 2x2, two blocks a stage with four times the channels inside, and 2x2 convolutions between stages."""

    def block(c: int) -> int:
        return 49 * c + (c * 4 * c + 4 * c) + (4 * c * c + c)

    weights = conv(3, 16, 2) + 2 * (block(16) + block(24) + block(32))
    weights += conv(16, 24, 2) + 24 + conv(24, 32, 2) + 32
    return weights + 32 * 10 + 10, [16] + [16] * 3 + [24] * 3 + [32] * 3


def mlp() -> tuple[int, list[int]]:
    """192-128-64-10; a norm for each hidden layer."""
    return 192 * 128 + 128 * 64 + 64 * 10 + 10, [128, 64]


def vit() -> tuple[int, list[int]]:
    """48 values of a patch, 64 positions, five blocks with a bias everywhere; two norms a block and a last one."""
    attention = 32 * 96 + 96 + 32 * 32 + 32
    hidden = 32 * 64 + 64 + 64 * 32 + 32
    return 48 * 32 + 32 + 64 * 32 + 5 * (attention + hidden) + 32 * 10 + 10, [32] * 11


def unet() -> tuple[int, list[int]]:
    """Two convolutions a level on either side; the decoder's first has the skip connection's channels, too."""
    encoder = conv(3, 16) + conv(16, 16) + conv(16, 24) + conv(24, 24)
    bottom = 2 * conv(24, 24)
    up = conv(24, 24, 2) + 24 + conv(24, 16, 2) + 16
    decoder = conv(48, 24) + conv(24, 24) + conv(32, 16) + conv(16, 16)
    return encoder + bottom + up + decoder + 16 * 10 + 10, [16, 16, 24, 24, 24, 24, 24, 24, 16, 16]


def cyclegan() -> tuple[int, list[int]]:
    """7x7, two downsamplings, three residual blocks, two upsamplings."""
    weights = conv(3, 16, 7) + conv(16, 16) + conv(16, 24) + 6 * conv(24, 24) + conv(24, 16) + conv(16, 16)
    return weights + 16 * 10 + 10, [16, 16, 24] + [24] * 6 + [16, 16]


def lstm() -> tuple[int, list[int]]:
    """Four gates from a row of 96 values and from 64 hidden ones; norms of both, and of the cell."""
    return 4 * 64 * (96 + 64) + 64 * 10 + 10, [256, 256, 64]


BY_HAND = {
    "resnet": resnet, "convnext": convnext, "mlp": mlp, "vit": vit, "unet": unet, "cyclegan": cyclegan, "lstm": lstm,
}  # fmt: skip
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
        network=NetworkConfig(name=name, init="xavier"),
        data=DataConfig(name="digits"),
        training=TrainingConfig(epochs=1, batch_size=8, lr=0.001, schedule="constant"),
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


def test_convnext_mixes_positions_channel_by_channel_and_channels_position_by_position():
    block = network("convnext").eval().stage1[0]
    x = torch.randn(1, 16, 12, 12)
    moved = x.clone()
    moved[0, 5, 6, 6] += 1
    changed = (block.depthwise.conv(x) != block.depthwise.conv(moved))[0].nonzero()
    assert set(changed[:, 0].tolist()) == {5}
    assert set(changed[:, 1].tolist()) == set(range(3, 10))
    changed = (block.pointwise(x) != block.pointwise(moved))[0].nonzero()
    assert set(changed[:, 0].tolist()) == set(range(16))
    assert {tuple(position) for position in changed[:, 1:].tolist()} == {(6, 6)}
    torch.testing.assert_close(block(x), x + block.pointwise(block.depthwise(x)))


def test_mlp_pools_to_8x8_pixels_and_drops_out_after_the_activations():
    perceptron = network("mlp").eval()
    x = IMAGES.unflatten(3, (8, 4)).unflatten(2, (8, 4)).mean((3, 5)).flatten(1)[:, :, None, None]
    for hidden in (perceptron.hidden1, perceptron.hidden2):
        x = torch.relu(hidden.norm(hidden.conv(x)))
    torch.testing.assert_close(perceptron(IMAGES), perceptron.classifier(x).flatten(1))
    layers = [(name, module.p) for name, module in perceptron.named_children() if isinstance(module, torch.nn.Dropout)]
    assert layers == [("drop1", 0.2), ("drop2", 0.3)]
    assert [name for name, _ in perceptron.named_children()][:5] == ["pool", "hidden1", "drop1", "hidden2", "drop2"]


def test_the_dropout_of_mlp_can_be_turned_off():
    without = network("mlp", hidden_dropout=(0.0, 0.0))
    assert not [module for module in without.modules() if isinstance(module, torch.nn.Dropout)]
    assert not draws_random_numbers(without)
    assert draws_random_numbers(network("mlp"))


@pytest.mark.parametrize(
    ("name", "norm"),
    [*((name, "in") for name in sorted(OF_VECTORS)), ("vit", "gn(groups=32)"), ("mlp", "gn(groups=64)")],
)
def test_a_norm_of_single_values_is_refused_in_words(name, norm):
    with pytest.raises(UnfitNormError, match=r"no meaning on vectors of \d+ channels: .* that of a single value there"):
        network(name, norm)


@pytest.mark.parametrize("norm", NORMS)
def test_a_norm_is_refused_on_vectors_where_it_leaves_at_most_signs(norm):
    """The axes say what a trial says: torch refuses, or factors on the values do not change the output."""
    x = torch.randn(4, 64, 1, 1)
    factors = 1 + torch.rand(4, 64, 1, 1)
    try:
        layer = Norm.parse(norm).make(64)
        leaves_signs = torch.allclose(layer(x), layer(factors * x), atol=0.01)
    except ValueError:
        leaves_signs = True
    assert fits("mlp", norm) != leaves_signs


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in OF_VECTORS])
def test_a_network_of_maps_and_tokens_takes_instance_norm(name):
    assert network(name, "in")(IMAGES).shape == (2, 10)


def test_the_attention_of_vit_is_that_of_torch():
    block = network("vit").eval().blocks[0].attention
    x = torch.randn(2, 32, 64, 1)
    reference = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(block.qkv.weight.flatten(1))
        reference.in_proj_bias.copy_(block.qkv.bias)
        reference.out_proj.weight.copy_(block.output.weight.flatten(1))
        reference.out_proj.bias.copy_(block.output.bias)
    tokens = x.flatten(2).mT
    expected = reference(tokens, tokens, tokens)[0].mT.unsqueeze(-1)
    torch.testing.assert_close(block.output(block.product(block.qkv(x))), expected)


@pytest.mark.parametrize(("norm", "dims"), [("ln-c", (1,)), ("ln", (1, 2, 3)), ("bn", (0, 2, 3))], ids=str)
def test_a_norm_gets_the_tokens_of_vit_as_positions(norm, dims):
    """Axes that each averages over: the channels of a token, all of an image, a channel's tokens of the batch."""
    given = []
    built = network("vit", norm)
    next(iter(norm_layers(built).values())).register_forward_hook(
        lambda _, inputs, output: given.append((inputs[0], output))
    )
    built(IMAGES)
    ((x, y),) = given
    assert x.shape == (2, 32, 64, 1)
    expected = (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)


def test_a_block_of_vit_begins_with_its_norm_and_ends_with_an_addition():
    block = network("vit").eval().blocks[1]
    x = torch.randn(2, 32, 64, 1)
    layers = [name for part in (block.attention, block.mlp) for name, _ in part.named_children()]
    assert layers == ["norm", "qkv", "product", "output", "norm", "expand", "act", "reduce"]
    y = x + block.attention(x)
    torch.testing.assert_close(block(x), y + block.mlp(y))


def test_heads_that_do_not_divide_the_channels_of_a_token_are_refused():
    with pytest.raises(UsageError, match="4 attention heads do not divide 30 channels"):
        network("vit", widths=(30, 8, 8, 8, 8, 8))


def test_the_decoder_of_unet_gets_the_maps_of_the_encoder_at_its_level():
    built, given = network("unet").eval(), {}
    for name in ("encoder1", "encoder2", "decoder1", "decoder2", "up1", "up2"):
        built.get_submodule(name).register_forward_hook(lambda *at, name=name: given.update({name: at[1:]}))
    built(IMAGES)
    for level, side in (("1", 32), ("2", 16)):
        (skipped,) = given[f"decoder{level}"][0]
        assert torch.equal(skipped, torch.cat([given[f"encoder{level}"][1], given[f"up{level}"][1]], 1))
        assert skipped.shape[2:] == (side, side)


def test_cyclegan_goes_down_to_8x8_and_up_again_in_the_papers_order():
    built, shapes = network("cyclegan").eval(), {}
    for name, module in built.named_children():
        module.register_forward_hook(lambda *at, name=name: shapes.update({name: tuple(at[2].shape[1:])}))
    built(IMAGES)
    assert shapes == {
        "stem": (16, 32, 32), "down1": (16, 16, 16), "down2": (24, 8, 8), "blocks": (24, 8, 8),
        "up2": (16, 16, 16), "up1": (16, 32, 32), "GAP": (16, 1, 1), "classifier": (10, 1, 1),
    }  # fmt: skip
    assert list(shapes) == ["stem", "down1", "down2", "blocks", "up2", "up1", "GAP", "classifier"]


def test_lstm_without_a_norm_is_torchs():
    """`none` leaves the plain cell: torch's own, with the gates in another order, gives the same."""
    built = network("lstm", "none").eval()
    reference = torch.nn.LSTM(96, 64, batch_first=True)
    order = [1, 0, 3, 2]  # torch: enter, forget, candidate, leave; here: forget, enter, leave, candidate

    def as_torch(weight: torch.Tensor) -> torch.Tensor:
        return torch.cat([weight.flatten(1).chunk(4)[gate] for gate in order])

    with torch.no_grad():
        built.recurrent.conv.bias.normal_()
        reference.weight_ih_l0.copy_(as_torch(built.rows.weight))
        reference.weight_hh_l0.copy_(as_torch(built.recurrent.conv.weight))
        reference.bias_ih_l0.copy_(as_torch(built.recurrent.conv.bias[:, None])[:, 0])
        reference.bias_hh_l0.zero_()
    rows = IMAGES.permute(0, 2, 1, 3).flatten(2)
    states = reference(rows)[0]
    expected = built.classifier(states.mean(1)[:, :, None, None]).flatten(1)
    torch.testing.assert_close(built(IMAGES), expected, rtol=1e-4, atol=1e-5)


def test_lstm_normalizes_row_hidden_state_and_cell_of_every_step_alone():
    built, given = network("lstm", "ln"), {"row": [], "recurrent": [], "cell": []}
    for name, inputs in given.items():
        built.get_submodule(f"{name}.norm").register_forward_hook(lambda *at, seen=inputs: seen.append(at[1][0]))
    built(IMAGES)
    assert {name: {tuple(x.shape) for x in inputs} for name, inputs in given.items()} == {
        "row": {(2, 256, 1, 1)}, "recurrent": {(2, 256, 1, 1)}, "cell": {(2, 64, 1, 1)},
    }  # fmt: skip
    assert {len(inputs) for inputs in given.values()} == {32}


@pytest.mark.parametrize("name", ["vit", "lstm", "mlp"])
def test_every_logit_depends_on_every_pixel(name):
    """As the table says; in the first layers it is not so yet."""
    built = network(name, "none", activation="tanh").eval()
    images = IMAGES[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(built(images)[0, 0], images)
    assert (gradient[0].abs().sum(0) > 0).all()
    rows = layer_rows(built)
    assert (rows[-1].receptive_field, rows[-1].sees_whole_image) == (32, True)
    assert not rows[0].sees_whole_image
