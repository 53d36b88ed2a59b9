"""Receptive fields against the truth: which input pixels have a gradient from one output."""

import pytest
import torch
from torch import Tensor, nn

from normbench.config import NetworkConfig
from normbench.model_summary.layers import layer_rows
from normbench.networks import build
from normbench.norms import Norm

SIDE = 112  # large enough that no field touches the border


def seen(output: Tensor, image: Tensor, offset: int = 0) -> tuple[int, int]:
    """First and last column of the input that the output beside the centre depends on."""
    at = output.shape[-1] // 2
    (gradient,) = torch.autograd.grad(output[0, :, at, at + offset].sum(), image, retain_graph=True)
    columns = gradient[0].abs().sum((0, 1)).nonzero().flatten()
    return int(columns[0]), int(columns[-1])


def truth(network: nn.Module, names: list[str]) -> dict[str, tuple[int, int]]:
    """Receptive field and jump of every layer, measured on an image larger than any field."""
    outputs: dict[str, Tensor] = {}
    for name in names:
        network.get_submodule(name).register_forward_hook(lambda *at, name=name: outputs.update({name: at[2]}))
    image = torch.rand(1, 3, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    network.double()(image)
    found = {}
    for name, output in outputs.items():
        first, last = seen(output, image)
        found[name] = (last - first + 1, seen(output, image, offset=1)[0] - first)
    return found


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
