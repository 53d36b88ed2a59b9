"""Settings: what does not fit is named in words, flags beat files, and the fingerprint names what can move a number."""

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import normbench
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
from normbench.norms import canonical_name, existing_name


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


def test_the_lines_of_a_recipes_comment_are_joined_but_for_those_that_end_with_a_sentence(tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("# A first line that goes\n# on, by 0.5\n# points. One more.\n# A second.\n\n# Another.\n")
    assert recipe_header(recipe) == "A first line that goes on, by 0.5 points. One more.\nA second."


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
    meant = "Did you mean 'gn+ws'?" if "+" in name else "Did you mean 'gn'?"
    assert (meant in error.value.hint) == name.lower().startswith("g")


@pytest.fixture
def folder_of_norms(tmp_path, monkeypatch):
    """The current folder, with custom norms in a file and in a package."""
    (tmp_path / "mine.py").write_text(
        "from torch.nn import BatchNorm2d as Imported\n"
        "try:\n    class Mine: pass\nexcept ImportError:\n    Fallback = None\n"
        "class Other:\n    def method(self): pass\n"
    )
    (tmp_path / "open.py").write_text("from mine import *\n")
    (tmp_path / "dynamic.py").write_text("globals()['Made'] = lambda channels: None\n")
    (tmp_path / "broken.py").write_text("class Mine(:\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "norms.py").write_text("make = lambda channels: None\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["gn", "gn+ws", "mine.py:Mine", "mine.py:Mine+ws", "mine.py:Mine(power=0.5)", "mine.py:Imported", "pkg.norms:make",
     "mine.py:Fallback", "open.py:Mine", "dynamic.py:Made", "broken.py:Mine", "torch.nn:BatchNorm2d"],
)  # fmt: skip
def test_sections_for_registered_and_custom_norms_are_theirs(recipe, folder_of_norms, name):
    loaded = load_recipe(recipe(f'[norm."{name}"]\nlr = 0.1'), None, canonical_name, existing_name)
    assert loaded.run(name, 0).training.lr == 0.1
    assert loaded.run(name, 0).tuned


@pytest.mark.parametrize(
    ("name", "problem", "hint"),
    [
        ("mine.py:Mien", "nothing called 'Mien' in .*mine.py", "Did you mean 'Mine'"),
        ("mine.py:method", "nothing called 'method'", "Known: Fallback, Imported, Mine, Other"),
        ("myne.py:Mine", "myne.py does not exist", "Did you mean mine.py"),
        ("pkg.norms:mak", "nothing called 'mak'", "Did you mean 'make'"),
        ("pkg.norm:make", "there is no module pkg.norm", "current folder"),
        ("pgk.norms:make", "there is no module pgk.norms", "current folder"),
    ],
)
def test_settings_of_a_custom_norm_that_is_not_there_are_refused(recipe, folder_of_norms, name, problem, hint):
    in_file, typed = (f'[norm."{name}"]\nlr = 0.1', None), ("", {"norm": {name: {"lr": 0.1}}})
    for section, overrides in (in_file, typed):
        with pytest.raises(UsageError, match=problem) as error:
            load_recipe(recipe(section), overrides, canonical_name, existing_name)
        assert hint in error.value.hint


@pytest.mark.parametrize("typed", ["mine.py:Mine", "./mine.py:Mine", "pkg/../mine.py:Mine", "{}/mine.py:Mine"])
def test_a_section_of_a_custom_norm_counts_however_its_path_is_typed(recipe, folder_of_norms, typed):
    typed = typed.format(folder_of_norms)
    text = '[norm."./mine.py:Mine"]\nlr = 0.1\nweight_decay = 0.01'
    loaded = load_recipe(recipe(text), None, canonical_name, existing_name)
    assert (loaded.run(typed, 0).training.lr, loaded.run(typed, 0).tuned) == (0.1, True)
    changed = load_recipe(recipe(text), {"norm": {typed: {"lr": 0.2}}}, canonical_name, existing_name)
    training = changed.run("mine.py:Mine", 0).training
    assert (training.lr, training.weight_decay) == (0.2, 0.01)
    twice = f'{text}\n[norm."{folder_of_norms}/mine.py:Mine"]\nlr = 0.3'
    with pytest.raises(UsageError, match="two sections for the norm"):
        load_recipe(recipe(twice), None, canonical_name, existing_name)


def test_a_misspelt_custom_norm_of_a_recipe_ends_a_command_before_it_trains(recipe, folder_of_norms):
    path = recipe('[norm."mine.py:Mien"]\nlr = 0.1')
    out = ("--out", folder_of_norms / "runs")
    for command in (("train", "--norm", "gn", *out), ("compare", "--norms", "gn", *out), ("summary",)):
        answer = normbench(*command, "--config", path, "--json")
        assert (answer.code, "Mien" in answer.document["error"]["message"]) == (2, True)
    assert not (folder_of_norms / "runs").exists()


@pytest.mark.parametrize("name", ["gn", "a/mine.py:Mine", '"mine.py:Mine"', "pkg.norms:make+ws"])
def test_a_setting_of_one_norm_is_given_with_set(name):
    overrides = NetworkOptions(set=[f"norm.{name}.lr=0.25"]).overrides()
    assert overrides == {"norm": {name.strip('"'): {"lr": 0.25}}}


def test_a_setting_of_a_norm_that_does_not_exist_is_refused_on_the_command_line():
    with pytest.raises(UsageError, match=r"command line: unknown norm 'GN' in \[norm\.GN\]") as error:
        options = NetworkOptions(set=["norm.GN.lr=0.5"])
        options.load_recipe(options.overrides())
    assert "Did you mean 'gn'?" in error.value.hint
