"""Parameters, MACs and the budget: against formulas by hand, and without touching what is looked at."""

import dataclasses
import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from normbench.config import NetworkConfig, RunConfig
from normbench.engine import within_budget
from normbench.errors import UsageError
from normbench.model_summary import model_summary
from normbench.model_summary.layers import layer_rows
from normbench.networks import NETWORKS, build, count_parameters
from normbench.networks.blocks import norm_layers
from normbench.norms import NORMS, Norm

SIDES = {"C1": 32, "C2": 32, "c3": 32, "C3": 16, "C4": 16, "C5": 16, "c6": 16, "C7": 8, "C8": 8, "C9": 8, "C10": 1}
SMALL = {"c3", "c6", "C10"}
W = (16, 32, 16, 28, 28, 28, 20, 32, 32, 32)
CHANNELS = dict(zip(SIDES, zip((3, *W), (*W, 10), strict=True), strict=True))


def config(norm: str = "bn", **network) -> RunConfig:
    return RunConfig(norm=norm, network=NetworkConfig(**{"widths": W, "name": "c10"} | network))


def macs_by_hand(name: str, block: str) -> int:
    """Multiply-accumulates of a convolution: every output adds up one product per kernel weight."""
    inputs, outputs = CHANNELS[name]
    if name in SMALL:
        return SIDES[name] ** 2 * inputs * outputs
    plain, depthwise = 9 * inputs * outputs, 9 * 2 * inputs + 2 * inputs * outputs
    separable = plain if name == "C1" else 9 * inputs + inputs * outputs
    return SIDES[name] ** 2 * {"plain": plain, "depthwise": depthwise, "separable": separable}[block]


@pytest.mark.parametrize("block", ["plain", "depthwise", "separable"])
def test_macs_of_every_convolution_are_those_of_the_formula(block):
    found = model_summary(config(block=block))
    by_block = dict.fromkeys(SIDES, 0)
    for row in found.rows:
        if row.macs:
            by_block[row.name.split(".")[0]] += row.macs
    assert by_block == {name: macs_by_hand(name, block) for name in SIDES}
    assert found.macs == sum(by_block.values())


def test_a_linear_layer_counts_a_mac_for_each_of_its_weights():
    rows = model_summary(config(name="dwnet", widths=None)).rows
    assert (rows[-1].name, rows[-1].macs) == ("linear", 16 * 10)


@pytest.mark.parametrize("norm", NORMS)
def test_the_rows_add_up_to_the_network(norm):
    found = model_summary(config(norm))
    network = build(config(norm).network, Norm.parse(norm))
    assert sum(row.parameters for row in found.rows) == found.parameters == count_parameters(network)
    assert sum(row.buffers for row in found.rows) == sum(buffer.numel() for buffer in network.buffers())
    norms = [row for row in found.rows if row.name.endswith(".norm")]
    assert len(norms) == 10
    assert sum(row.parameters for row in norms) == found.norm_parameters
    assert sum(row.buffers for row in norms) == found.norm_buffers


@pytest.mark.parametrize("norm", ["bn", "none"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_rows_of_every_network_add_up_to_it(name, norm):
    found = model_summary(config(norm, name=name, widths=None))
    network = build(NetworkConfig(name=name), Norm.parse(norm))
    assert sum(row.parameters for row in found.rows) == found.parameters == count_parameters(network)
    assert sum(row.buffers for row in found.rows) == sum(buffer.numel() for buffer in network.buffers())
    assert sum(row.is_norm for row in found.rows) == len(norm_layers(network))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32))
    assert 2 * found.macs == counter.get_total_flops(), "every product is that of a layer of the table"


def test_the_rows_stand_in_order_of_execution_with_their_output_shapes():
    shapes = {row.name: row.output for row in model_summary(config()).rows}
    blocks = [name.removesuffix(".conv") for name in shapes if not name.endswith((".norm", ".act"))]
    assert blocks == ["C1", "C2", "c3", "P1", "C3", "C4", "C5", "c6", "P2", "C7", "C8", "C9", "GAP", "C10"]
    for name, side in SIDES.items():
        layer = "C10" if name == "C10" else f"{name}.conv"
        assert shapes[layer] == (CHANNELS[name][1], side, side)


@pytest.mark.parametrize(("parameters", "over"), [(49_999, 0), (50_000, 1), (50_010, 11)])
def test_the_budget_is_fewer_than_50000_so_50000_is_over_by_one(parameters, over):
    assert dataclasses.replace(model_summary(config()), parameters=parameters).over_budget == over


def test_a_network_is_refused_at_its_own_size_and_let_through_one_above():
    size = count_parameters(build(config().network, Norm.parse("bn")))
    assert within_budget(config().model_copy(update={"max_params": size + 1})) == size
    with pytest.raises(UsageError, match=f"1 over the budget of fewer than {size:,}"):
        within_budget(config().model_copy(update={"max_params": size}))


def test_the_refusal_of_ln_chw_explains_itself_and_names_a_count_that_works():
    with pytest.raises(UsageError, match="c10 with ln-chw has") as error:
        within_budget(config("ln-chw"))
    assert "gamma and a beta for every channel and position" in error.value.hint
    assert "--norm ln " in error.value.hint
    named = int(re.search(r"--max-params (\d+)", error.value.hint)[1])
    assert within_budget(config("ln-chw").model_copy(update={"max_params": named})) == named - 1


def test_looking_moves_no_random_state():
    before = torch.get_rng_state()
    model_summary(config(dropout=0.2))
    assert torch.equal(torch.get_rng_state(), before)


def test_looking_moves_no_buffer_no_weight_and_no_mode():
    network = build(NetworkConfig(), Norm.parse("bn"))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    layer_rows(network)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("norm", "reach"),
    [("bn", "training"), ("gn", "always"), ("ln-c", "never"), ("none", "never"), ("torch.nn:BatchNorm2d", "unknown")],
)
def test_the_reach_of_a_norms_statistics_is_told(norm, reach):
    assert model_summary(config(norm)).global_dependency == reach
