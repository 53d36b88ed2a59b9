"""Settled recipes: `recipes show`, and --print-config, whose TOML gives the same runs again."""

import tomllib
from pathlib import Path

import pytest
import tomli_w
from helpers.cli import normbench, refused

from normbench.config import load_recipe, recipe_names
from normbench.config.recipes import recipe_path
from normbench.errors import USAGE
from normbench.norms import canonical_name, existing_name

OVERRIDES = (
    {},
    {"training": {"weight_decay": 0.1}},
    {"training": {"lr": 0.3}},
    {"norm": {"gn": {"lr": 0.3}, "gn(groups=8)": {"momentum": 0.5}}},
    {"groups": 2, "network": {"name": "mlp", "widths": [8, 8, 8]}},
)


@pytest.mark.parametrize("overrides", OVERRIDES, ids=str)
def test_a_settled_recipe_gives_the_same_runs_with_the_same_marks(overrides: dict, tmp_path: Path) -> None:
    for name in recipe_names():
        recipe = load_recipe(name, overrides, canonical_name, existing_name)
        file = tmp_path / f"{name}.toml"
        file.write_text(tomli_w.dumps(recipe.settled()))
        again = load_recipe(str(file), None, canonical_name, existing_name)
        for norm in (*recipe.norms, "bn", "gn(groups=8)", "none"):
            assert again.run(norm, 3) == recipe.run(norm, 3), (name, norm)
        for setting in ("norms", "seeds", "seed", "sweep", "search"):
            assert getattr(again, setting) == getattr(recipe, setting)


@pytest.mark.parametrize(
    "command",
    [
        ("train", "--norm", "gn", "--epochs", "3", "--set", "norm.gn.lr=0.3"),
        ("compare", "--norms", "bn,gn(groups=2)", "--seeds", "2", "--config", "quick"),
        ("batch-size", "--norms", "bn,gn", "--sizes", "2,8"),
        ("tune", "--norms", "ln"),
        ("rank", "--all"),
        ("claims", "--norms", "bn"),
        ("mistakes", "--epochs", "1"),
        ("cost", "--norms", "bn"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_with_a_recipe_prints_it_and_trains_nothing(command: tuple[str, ...], tmp_path: Path) -> None:
    answer = normbench(*command, "--out", tmp_path / "runs", "--print-config")
    assert (answer.code, answer.stderr, (tmp_path / "runs").exists()) == (0, "", False)
    file = tmp_path / "settled.toml"
    file.write_text(answer.stdout)
    document = normbench(command[0], *command[1:], "--print-config", "--json").document
    assert tomllib.loads(answer.stdout) == document["settings"]
    flags = command[1:3] if command[0] == "train" else ()
    again = normbench(command[0], *flags, "--config", file, "--print-config", "--json")
    assert again.document["settings"] == document["settings"]


def test_the_grid_of_a_search_is_no_recipe() -> None:
    refused(normbench("compare", "--all", "--lr", "0.1,0.2", "--print-config"), USAGE, "a recipe has no grid")


def test_recipes_show_prints_the_file_of_a_recipe() -> None:
    answer = normbench("recipes", "show", "quick")
    assert answer.stdout == recipe_path("quick").read_text()
    document = normbench("recipes", "show", "quick", "--json").document
    assert document["path"] == str(recipe_path("quick"))
    assert document["settings"] == load_recipe("quick").settled()
    refused(normbench("recipes", "show", "quik"), USAGE, "Did you mean 'quick'?")
