"""Receptive fields against the truth: which input pixels have a gradient from one output."""

import pytest
import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.model_summary.layers import layer_rows
from normbench.networks import build
from normbench.norms import Norm

SIDE = 112  # large enough that no field touches the border
PERIOD = 4  # after which the fields of neighbouring outputs repeat, shifted: upsampling makes them differ


def seen(output: Tensor, image: Tensor, offset: int = 0) -> tuple[int, int]:
    """First and last column of the input that the output beside the centre depends on."""
    at = output.shape[-1] // 2
    (gradient,) = torch.autograd.grad(output[0, :, at, at + offset].sum(), image, retain_graph=True)
    columns = gradient[0].abs().sum((0, 1)).nonzero().flatten()
    return int(columns[0]), int(columns[-1])


def truth(network: nn.Module, names: list[str], side: int = SIDE) -> dict[str, tuple[int, float]]:
    """Receptive field and jump of every layer, measured on an image larger than any field."""
    outputs: dict[str, Tensor] = {}
    for name in names:
        network.get_submodule(name).register_forward_hook(lambda *at, name=name: outputs.update({name: at[2]}))
    image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    network.double()(image)
    measured = {}
    for name, output in outputs.items():
        if output.shape[-1] <= PERIOD:
            first, last = seen(output, image)
            measured[name] = (last - first + 1, float("nan"))
            continue
        columns = [seen(output, image, offset) for offset in range(-PERIOD // 2, PERIOD // 2)]
        after = seen(output, image, PERIOD // 2)[0]
        measured[name] = (max(last - first for first, last in columns) + 1, (after - columns[0][0]) / PERIOD)
    return measured


def smooth(network: nn.Module) -> nn.Module:
    """Max-pools, whose gradient reaches one pixel only, become average pools of the same extent."""
    for name, module in list(network.named_children()):
        if isinstance(module, nn.MaxPool2d):
            setattr(network, name, nn.AvgPool2d(module.kernel_size, module.stride, module.padding))
    return network


def claimed(network: nn.Module) -> dict[str, tuple[int, int]]:
    return {row.name: (row.receptive_field, row.jump) for row in layer_rows(network)}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("block", ["plain", "depthwise", "separable"])
def test_every_layer_of_c10_sees_what_the_table_says(residual, block):
    config = NetworkConfig(activation="tanh", init="torch", residual=residual, block=block)
    network = build(config, Norm.parse("none"))
    claims = claimed(network)
    network.GAP = nn.AvgPool2d(8)  # the 8x8 of a 32x32 image
    pooled = {name: claims.pop(name)[0] for name in ("GAP", "C10")}
    found = truth(smooth(network), [*claims, *pooled])
    assert {name: found.pop(name)[0] for name in pooled} == pooled
    assert found == claims


def test_every_layer_of_dwnet_up_to_the_pool_sees_what_the_table_says():
    network = build(NetworkConfig(name="dwnet", activation="tanh", init="torch"), Norm.parse("none"))
    claims = {name: claim for name, claim in claimed(network).items() if name not in {"GAP", "linear"}}
    assert truth(smooth(network), list(claims)) == claims


def test_dilation_stride_and_overlapping_pools_are_followed():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=2, padding=2),
        nn.Conv2d(4, 4, 3, padding=3, dilation=3),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, padding=1),
    )
    claims = claimed(network)
    assert list(claims) == ["0", "1", "2", "3", "4"]
    assert truth(smooth(network), list(claims)) == claims


CONVOLUTIONAL = {"resnet": (112, 3), "convnext": (224, 3), "unet": (96, 3), "cyclegan": (144, 5)}
"""Networks that run on images of any size: a side that no field before the pool reaches, and the number of widths."""


@pytest.mark.parametrize(("name", "side", "widths"), [(name, *of) for name, of in CONVOLUTIONAL.items()])
def test_every_layer_of_a_convolutional_network_sees_what_the_table_says(name, side, widths):
    network = build(NetworkConfig(name=name, activation="tanh", widths=(4,) * widths), Norm.parse("none"))
    claims = claimed(network)
    after_the_pool = list(claims)[list(claims).index("GAP") :]
    for layer in after_the_pool:
        del claims[layer]
    assert len(claims) > 10
    assert max(size for size, _ in claims.values()) < side
    assert truth(smooth(network), list(claims), side) == claims


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_logits_see_the_whole_image_and_the_first_layer_does_not(name):
    rows = layer_rows(build(NetworkConfig(name=name), Norm.parse("none")))
    assert rows[-1].sees_whole_image
    assert not rows[0].sees_whole_image


class Parallel(nn.Module):
    """Two branches that are added."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches, self.act = nn.ModuleList(branches), nn.Tanh()

    def forward(self, x):
        total = self.branches[0](x).clone()
        for branch in self.branches[1:]:
            total += branch(x)
        return self.act(total)


CHAINS = {
    "same padding": [nn.Conv2d(3, 4, 3, padding="same", dilation=2), nn.Conv2d(4, 4, 5, padding="same")],
    "transposed": [nn.Conv2d(3, 4, 4, 4), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.Conv2d(4, 4, 3, padding=1)],
    "dilated transposed": [nn.Conv2d(3, 4, 2, 2), nn.ConvTranspose2d(4, 4, 3, 2, 3, dilation=3)],
    "repeated": [
        nn.AvgPool2d(4), nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1), nn.Upsample(scale_factor=2),
    ],
    "repeated, then an even kernel": [
        nn.AvgPool2d(4), nn.Upsample(scale_factor=2), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 4, 2),
    ],
    "bilinear": [nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 4, 3, padding=1)],
    "branches": [nn.Conv2d(3, 4, 2, 2), Parallel(nn.Conv2d(4, 4, 7, padding=3), nn.Conv2d(4, 4, 1)), nn.Tanh()],
    "branches of unequal padding": [Parallel(nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5, padding=1))],
}  # fmt: skip


@pytest.mark.parametrize("layers", CHAINS.values(), ids=CHAINS)
def test_a_chain_of_layers_sees_what_the_table_says(layers):
    network = nn.Sequential(*layers)
    claims = claimed(network)
    assert len(claims) >= len(layers)
    assert truth(network, list(claims)) == claims


class Gate(nn.Module):
    """Scales channels by their means, as squeeze and excitation does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.Tanh()

    def forward(self, x):
        x = self.conv(x)
        return self.act(x * x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(4096, 7)), [False, True, True]),
        (nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 4, 1)), [False, True, True]),
        (Gate(), [False, True]),
    ],
    ids=["flatten", "pool", "gate"],
)
def test_what_is_made_of_a_whole_map_sees_the_whole_image(network, expected):
    assert [row.sees_whole_image for row in layer_rows(network)] == expected
