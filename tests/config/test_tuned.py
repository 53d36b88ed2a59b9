"""Settings by norm: `+ws` takes its base norm's, and those that no search has found are marked wherever they show."""

import csv
import tomllib
from pathlib import Path

import pytest
from helpers.cli import compare, normbench

from normbench.analysis import format as words
from normbench.config import load_recipe, recipe_names
from normbench.norms import NORMS

RECIPE = """
norms = ["bn", "bn+ws", "rms"]
[network]
widths = [4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
[data]
name = "digits"
subset = 128
[training]
epochs = 1
batch_size = 64
lr = 0.04
[norm.bn]
lr = 0.08
weight_decay = 1e-3
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("norm", [*NORMS, "mine.py:Norm"])
def test_weight_standardization_inherits_every_setting_of_its_base_norm(recipe: str, norm: str) -> None:
    loaded = load_recipe(recipe)
    base, standardized = loaded.run(norm, 0), loaded.run(f"{norm}+ws", 0)
    assert (base.training, base.groups) == (standardized.training, standardized.groups)


def test_what_a_recipe_says_of_a_standardized_norm_wins_over_its_base_norm(recipe: Path) -> None:
    recipe.write_text(RECIPE + '[norm."bn+ws"]\nlr = 0.5\n')
    training = load_recipe(str(recipe)).run("bn+ws", 0).training
    assert (training.lr, training.weight_decay) == (0.5, 1e-3)
    assert load_recipe(str(recipe)).run("bn+ws", 0).tuned


@pytest.mark.parametrize(
    ("norm", "overrides", "tuned"),
    [
        ("bn", {}, True),
        ("bn+ws", {}, False),
        ("rms", {}, False),
        ("mine.py:Norm", {}, False),
        ("bn", {"training": {"lr": 0.04}}, False),
        ("bn", {"training": {"weight_decay": 0.0}}, False),
        ("bn", {"norm": {"bn": {"lr": 0.5}}}, False),
        ("bn", {"training": {"lr": 0.08, "weight_decay": 1e-3}}, True),  # what the search has found, typed out
        ("rms", {"norm": {"rms": {"lr": 0.04}}}, False),  # typed, not found
        ("bn", {"training": {"epochs": 2}}, True),
        ("bn", {"training": {"optimizer": "adam"}}, False),  # the search was with SGD
    ],
)
def test_a_norm_is_tuned_whose_own_rates_the_recipes_file_gives(
    recipe: Path, norm: str, overrides: dict, tuned: bool
) -> None:
    assert load_recipe(str(recipe), overrides).run(norm, 0).tuned is tuned


def test_every_norm_that_a_recipe_compares_is_tuned() -> None:
    for name in recipe_names():
        loaded = load_recipe(name)
        assert all(loaded.run(norm, 0).tuned for norm in loaded.norms), name


def test_being_tuned_is_no_part_of_the_fingerprint(recipe: Path) -> None:
    config = load_recipe(str(recipe)).run("bn", 0)
    assert config.model_copy(update={"tuned": None}).fingerprint == config.fingerprint


def test_what_is_not_tuned_is_marked_in_dry_run_table_files_report_and_json(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    command = ("compare", "--config", recipe, "--out", out)
    expected = {"bn": True, "bn+ws": False, "rms": False}
    sentence = words.untuned(["bn+ws", "rms"])

    planned = normbench(*command, "--dry-run", "--json").document["runs"]
    assert {run["config"]["norm"]: run["config"]["tuned"] for run in planned} == expected
    shown = normbench(*command, "--dry-run").words
    assert sentence in shown and "0.04*" in shown and "0.08*" in shown

    trained = normbench(*command, "--json").document
    assert {row["norm"]: row["tuned"] for row in trained["rows"]} == expected
    assert {run["norm"]: run["tuned"] for run in trained["runs"]} == expected
    assert sentence in normbench(*command).words
    with (out / "mine" / "results.csv").open() as file:
        assert {line["norm"]: line["tuned"] for line in csv.DictReader(file)} == {
            k: str(v) for k, v in expected.items()
        }
    for name in ("table.md", "table.tex"):
        assert sentence.removeprefix("* ") in (out / "mine" / name).read_text()
    assert normbench("report", "mine", "--out", out).code == 0
    page = (out / "mine" / "report.html").read_text()
    assert sentence in page and "0.08*" in page


def test_a_recipe_that_tunes_a_norm_later_takes_the_mark_away(recipe: Path, tmp_path: Path) -> None:
    command = ("compare", "--config", recipe, "--norms", "bn,rms", "--out", tmp_path / "runs", "--json")
    assert [row["tuned"] for row in normbench(*command).document["rows"]] == [True, False]
    recipe.write_text(RECIPE + "[norm.rms]\nlr = 0.04\n")
    assert [row["tuned"] for row in normbench(*command).document["rows"]] == [True, True]


def test_a_search_marks_nothing_and_prints_sections_that_toml_reads(tmp_path: Path) -> None:
    search = compare(tmp_path, "--norms", "gn+ws,rms", "--lr", "0.01,0.1", "--val-split", "0.2", "--json").document
    assert {row["tuned"] for row in search["rows"]} == {None}
    shown = compare(tmp_path, "--norms", "gn+ws,rms", "--lr", "0.01,0.1", "--val-split", "0.2").stdout
    sections = tomllib.loads(shown[shown.index("[norm.") :])["norm"]
    assert sections == search["best"]


def test_a_study_of_batch_sizes_says_which_rates_were_not_searched_for(tmp_path: Path) -> None:
    options = ("--norms", "bn,rms", "--sizes", "32", "--dataset", "digits", "--subset", 64, "--epochs", 1)
    finding = normbench("batch-size", *options, "--out", tmp_path, "--json").document
    assert {point["norm"]: point["tuned"] for point in finding["values"]["points"]} == {"bn": True, "rms": False}
    assert words.untuned(["rms"]) in finding["caption"]
