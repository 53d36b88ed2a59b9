"""Settings: what does not fit is named in words, flags beat files, and the fingerprint names what can move a number."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from normbench.cli.options import NetworkOptions
from normbench.config import (
    RunConfig,
    load_recipe,
    recipe_names,
    recipe_path,
)
from normbench.config.recipes import recipe_header
from normbench.engine import within_budget
from normbench.errors import UsageError
from normbench.norms import canonical_name


@pytest.fixture
def recipe(tmp_path: Path):
    """Write a recipe and give its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("sede = 1", "sede", "seed"),
        ("[trainin]\nlr = 0.1", "trainin", "training"),
        ("[training]\nepoch = 3", "training.epoch", "epochs"),
        ("[data]\nval_splt = 0.1", "data.val_splt", "val_split"),
        ("[network]\nwidth = [8]", "network.width", "widths"),
    ],
)
def test_an_unknown_key_is_named_with_the_file_and_the_nearest_one(recipe, text, key, nearest):
    with pytest.raises(UsageError, match=rf"mine\.toml: unknown key '{key}'") as error:
        load_recipe(recipe(text))
    assert f"Did you mean '{nearest}'?" in error.value.hint


def test_an_unknown_key_of_one_norm_is_named_with_the_nearest_one(recipe):
    with pytest.raises(UsageError, match=r"unknown key 'weightdecay' in \[norm.gn\]") as error:
        load_recipe(recipe("[norm.gn]\nweightdecay = 0.1"))
    assert "Did you mean 'weight_decay'?" in error.value.hint


def test_a_norms_setting_outside_a_section_of_its_own_is_refused(recipe):
    with pytest.raises(UsageError, match=r"under \[norm.NAME\]"):
        load_recipe(recipe("[norm]\nlr = 0.1"))


@pytest.mark.parametrize(
    ("text", "said"), [("[training", "not valid TOML"), ("[training]\nlr = -1", "training.lr = -1")]
)
def test_a_broken_file_or_value_is_named(recipe, text, said):
    with pytest.raises(UsageError, match=rf"mine\.toml: {said}"):
        load_recipe(recipe(text))


PER_NORM = """
groups = 8
[training]
lr = 0.1
weight_decay = 0.001
[norm.gn]
lr = 0.2
groups = 2
[norm.ln]
lr = 0.3
weight_decay = 0.002
"""


def settings(recipe: Any, norm: str) -> tuple[float, float, int]:
    run = recipe.run(norm, seed=0)
    return run.training.lr, run.training.weight_decay, run.groups


def test_a_norms_own_section_beats_the_common_settings(recipe):
    loaded = load_recipe(recipe(PER_NORM))
    assert settings(loaded, "bn") == (0.1, 0.001, 8)
    assert settings(loaded, "gn") == (0.2, 0.001, 2)
    assert settings(loaded, "ln") == (0.3, 0.002, 8)


def test_a_flag_beats_the_sections_of_all_norms(recipe):
    loaded = load_recipe(recipe(PER_NORM), {"training": {"lr": 0.5}})
    assert settings(loaded, "bn") == (0.5, 0.001, 8)
    assert settings(loaded, "gn") == (0.5, 0.001, 2)
    assert settings(loaded, "ln") == (0.5, 0.002, 8)
    assert settings(load_recipe(recipe(PER_NORM), {"groups": 4}), "gn") == (0.2, 0.001, 4)


def test_an_override_of_one_norm_leaves_the_others_as_the_file_has_them(recipe):
    loaded = load_recipe(recipe(PER_NORM), {"norm": {"gn": {"lr": 0.5}}})
    assert settings(loaded, "gn") == (0.5, 0.001, 2)
    assert settings(loaded, "ln") == (0.3, 0.002, 8)


def test_an_unknown_key_in_an_override_of_one_norm_is_refused_at_once(recipe):
    with pytest.raises(UsageError, match=r"unknown key 'lrr' in \[norm.gn\]"):
        load_recipe(recipe(PER_NORM), {"norm": {"gn": {"lrr": 0.5}}})


def test_an_override_replaces_its_key_and_nothing_beside_it(recipe):
    loaded = load_recipe(recipe(PER_NORM), {"training": {"epochs": 3}, "data": {"name": "digits"}})
    assert (loaded.training.epochs, loaded.training.lr, loaded.data.name) == (3, 0.1, "digits")


@pytest.mark.parametrize("epochs", [0, 21, -1])
def test_epochs_outside_1_to_20_are_refused_with_the_rule(recipe, epochs):
    with pytest.raises(UsageError, match=f"epochs = {epochs}, but the rules of the benchmark are 1 to 20 epochs"):
        load_recipe(recipe(f"[training]\nepochs = {epochs}"))


@pytest.mark.parametrize("epochs", [1, 20])
def test_1_and_20_epochs_are_within_the_rules(recipe, epochs):
    assert load_recipe(recipe(f"[training]\nepochs = {epochs}")).training.epochs == epochs


def test_settings_cannot_be_changed_after_they_are_made():
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig(norm="bn").norm = "gn"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_along_loads_says_what_it_is_and_keeps_the_budget(name):
    loaded = load_recipe(name)
    assert recipe_header(recipe_path(name))
    for norm in loaded.norms:
        config = loaded.run(norm, seed=0)
        assert within_budget(config) < 50_000


def test_the_default_recipe_is_there():
    assert "baseline" in recipe_names()


def test_a_misspelt_recipe_is_answered_with_the_nearest_and_a_missing_file_with_its_path(tmp_path):
    with pytest.raises(UsageError, match="unknown recipe 'baselin'") as error:
        load_recipe("baselin")
    assert "Did you mean 'baseline'?" in error.value.hint
    with pytest.raises(UsageError, match=r"no recipe file at .*gone\.toml"):
        load_recipe(str(tmp_path / "gone.toml"))


@pytest.mark.parametrize("name", ["gm", "GN", "gm+ws", "gn+Ws", "mine.py:"])
def test_a_section_for_a_norm_that_does_not_exist_is_refused_with_the_file_and_the_nearest_one(recipe, name):
    problem = "norm 'mine.py:' is not of the form" if ":" in name else f"unknown norm '{name.removesuffix('+ws')}' in"
    with pytest.raises(UsageError, match=rf"mine\.toml: {re.escape(problem)} .*\[norm\.") as error:
        load_recipe(recipe(f'[norm."{name}"]\nlr = 0.1'), canonical=canonical_name)
    assert ("Did you mean 'gn'?" in error.value.hint) == name.lower().startswith("g")


@pytest.mark.parametrize("name", ["gn", "gn+ws", "mine.py:Mine", "mine.py:Mine+ws", "pkg.norms:make"])
def test_sections_for_registered_and_custom_norms_are_theirs(recipe, name):
    loaded = load_recipe(recipe(f'[norm."{name}"]\nlr = 0.1'), canonical=canonical_name)
    assert loaded.run(name, 0).training.lr == 0.1


@pytest.mark.parametrize("name", ["gn", "a/mine.py:Mine", '"mine.py:Mine"', "pkg.norms:make+ws"])
def test_a_setting_of_one_norm_is_given_with_set(name):
    overrides = NetworkOptions(set=[f"norm.{name}.lr=0.25"]).overrides()
    assert overrides == {"norm": {name.strip('"'): {"lr": 0.25}}}


def test_a_setting_of_a_norm_that_does_not_exist_is_refused_on_the_command_line():
    with pytest.raises(UsageError, match=r"command line: unknown norm 'GN' in \[norm\.GN\]") as error:
        options = NetworkOptions(set=["norm.GN.lr=0.5"])
        options.load_recipe(options.overrides())
    assert "Did you mean 'gn'?" in error.value.hint
