"""Worked examples: every step is the norm's own, and a norm without one is refused."""

from pathlib import Path

import pytest
import torch
from helpers.cli import normbench, refused

from normbench.analysis.example import BETA, GAMMA, INPUTS, worked_example
from normbench.errors import USAGE
from normbench.norms import Norm


@pytest.mark.parametrize("name", ["bn", "brn", "gn(groups=2)", "gn(groups=1)", "ln", "ln-c", "rms", "rms-c"])
def test_an_example_ends_with_what_the_layer_computes(name: str) -> None:
    norm = Norm.parse(name)
    example = worked_example(name, norm.info, int(norm.arguments.get("groups", norm.groups) or 1))
    layer = norm.make(4).train()
    parameters = dict(layer.named_parameters())
    with torch.no_grad():
        for key, parameter in parameters.items():
            parameter.fill_(BETA if "bias" in key else GAMMA)
        output = layer(torch.tensor(INPUTS).view(3, 4, 1, 1)).view(3, 4)
    torch.testing.assert_close(torch.tensor(example.output), output, atol=1e-5, rtol=1e-5)


def test_the_means_of_bn_are_those_of_features_and_of_ln_those_of_inputs() -> None:
    columns = tuple(sum(column) / 3 for column in zip(*INPUTS, strict=True))
    rows = tuple(sum(row) / 4 for row in INPUTS)
    assert worked_example("bn", Norm.parse("bn").info, 4).mean == (columns,) * 3
    assert worked_example("ln", Norm.parse("ln").info, 4).mean == tuple((row,) * 4 for row in rows)


def test_the_command_prints_every_step() -> None:
    document = normbench("norms", "ln", "--example", "--json").document["example"]
    example = worked_example("ln", Norm.parse("ln").info, 4)
    assert document["input"] == [list(row) for row in INPUTS]
    assert document["output"] == [list(row) for row in example.output]
    text = normbench("norms", "ln", "--example", COLUMNS="80").stdout
    assert f"{example.output[0][0]:.3f}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_example_of_gn_has_two_groups_unless_others_are_named() -> None:
    outputs = {
        flags: normbench("norms", "gn", "--example", *flags, "--json").document["example"]["output"]
        for flags in ((), ("--groups", "2"), ("--groups", "1"))
    }
    assert outputs[()] == outputs["--groups", "2"] != outputs["--groups", "1"]


@pytest.mark.parametrize("name", ["in", "gn(groups=4)", "lrn", "none", "dyt", "frn", "ebn", "sn", "bin"])
def test_a_norm_without_an_example_is_refused(name: str, tmp_path: Path) -> None:
    refused(normbench("norms", name, "--example", "--out", tmp_path), USAGE, "no worked example", name)
