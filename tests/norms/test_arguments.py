"""Arguments of norms: one canonical name per norm, checked before anything is trained, part of the fingerprint."""

import pytest
import torch
from helpers.cli import TINY, compare, normbench, refused
from torch import nn

from normbench.config import load_recipe
from normbench.config.norm_names import NormName, split_names
from normbench.errors import UsageError
from normbench.norms import Norm, canonical_name

SCALE = """
from torch import nn

class Scale(nn.Module):
    def __init__(self, channels, power: float = 1.0):
        super().__init__()
        self.power = power

    def forward(self, x):
        return x * self.power
"""


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("gn", "gn"),
        ("gn( groups = 8 )", "gn(groups=8)"),
        ("bn(momentum=0.1)", "bn"),
        ("bn(momentum=0.010,eps=1e-3)", "bn(eps=0.001,momentum=0.01)"),
        ("lrn(size=5,k=2)", "lrn(k=2)"),
        ("gn(groups=8)+ws", "gn(groups=8)+ws"),
        ("gn( groups = 8 )+wn", "gn(groups=8)+wn"),
        ("none+cwn", "none+cwn"),
    ],
)
def test_a_name_has_one_canonical_spelling(typed, canonical):
    assert canonical_name(typed) == canonical
    assert canonical_name(canonical) == canonical


def test_commas_in_parentheses_belong_to_the_norm():
    assert split_names("bn, lrn(k=2,size=3),gn") == ("bn", "lrn(k=2,size=3)", "gn")


def test_arguments_reach_the_layer():
    assert Norm.parse("gn(groups=8)").make(32).num_groups == 8
    assert Norm.parse("bn(momentum=0.01)").make(4).momentum == 0.01
    layer = Norm.parse("lrn(k=2,alpha=0.0005)").make(4)
    assert isinstance(layer, nn.LocalResponseNorm)
    assert (layer.k, layer.alpha) == (2, 0.0005)


@pytest.mark.parametrize(
    ("norm", "words"),
    [
        ("gn(grups=2)", "groups"),
        ("gn(groups=0)", "groups = 0"),
        ("gn(groups=two)", "groups"),
        ("gn(groups=2.5)", "groups"),
        ("gn(groups=2", "gn(groups=2"),
        ("gn(groups=2,groups=4)", "groups"),
        ("none(groups=2)", "groups"),
        ("gn()x", "gn()x"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(norm, words, tmp_path):
    refused(normbench("train", "--norm", norm, *TINY, "--out", tmp_path), 2, words)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_gives_a_norm_with_arguments_the_settings_of_its_base_and_then_its_own(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'norms = ["gn(groups=8)"]\n[norm.gn]\nlr = 0.5\nweight_decay = 0.25\n[norm."gn(groups=8)"]\nlr = 0.125\n'
    )
    training = load_recipe(str(recipe), None, canonical_name).run("gn(groups=8)", 0).training
    assert (training.lr, training.weight_decay) == (0.125, 0.25)


def test_two_settings_of_one_norm_are_two_runs_and_stand_in_one_table(tmp_path):
    recipe = load_recipe("baseline")
    prints = {recipe.run(norm, 0).fingerprint for norm in ("gn", "gn(groups=2)", "gn(groups=4)")}
    assert len(prints) == 3
    document = compare(tmp_path, "--norms", "gn(groups=2),gn(groups=4)", "--json").document
    assert [row["norm"] for row in document["rows"]] == ["gn(groups=2)", "gn(groups=4)"]
    assert document["rows"][0]["train_loss"] != document["rows"][1]["train_loss"]


def test_a_custom_norm_takes_arguments_of_its_factory(tmp_path):
    file = tmp_path / "mynorm.py"
    file.write_text(SCALE)
    layer = Norm.parse(f"{file}:Scale(power=0.5)").make(3)
    assert layer(torch.ones(1, 3, 2, 2)).eq(0.5).all()
    with pytest.raises(UsageError, match="powr"):
        Norm.parse(f"{file}:Scale(powr=0.5)").make(3)


def test_verify_checks_a_norm_with_its_arguments(tmp_path):
    answer = normbench("verify", "--norm", "lrn(k=2)", "--cases", "4", "--out", tmp_path, "--json")
    assert answer.document["values"]["norms"][0]["norm"] == "lrn(k=2)"
    assert answer.document["values"]["passed"]


@pytest.mark.parametrize("name", ["gn+ws+wn", "gn+wn+cwn", "gn(groups=2)+wn+wn", "gn+ws(groups=2)+cwn"])
def test_two_switches_for_the_same_weights_are_refused(name):
    with pytest.raises(UsageError, match="two ways to treat the same weights"):
        Norm.parse(name)


def test_the_settings_of_a_switch_in_a_recipe_are_its_own():
    assert NormName.parse("gn(groups=8)+wn").fallbacks == ("gn", "gn(groups=8)", "gn+wn", "gn(groups=8)+wn")
