"""Without CIFAR-10 `auto` falls back to the recipe of the digits as a whole, and to nothing else in silence."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.cli import Answer, normbench, refused

import normbench as nb
from normbench.config import RunConfig, load_recipe
from normbench.config.recipes import recipe_path
from normbench.errors import DATA_UNAVAILABLE


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without CIFAR-10: an empty home, cache and working folder."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    return tmp_path


def planned(answer: Answer) -> list[tuple[RunConfig, str]]:
    """Settings of the runs of a dry run, with the name of their experiment."""
    assert answer.code == 0
    runs: list[dict[str, Any]] = answer.document["runs"]
    return [(RunConfig.model_validate(run["config"]), Path(run["folder"]).parent.name) for run in runs]


def dry_run(*arguments: object) -> Answer:
    return normbench(*arguments, "--offline", "--dry-run", "--json")


@pytest.mark.parametrize("command", ["compare --config quick", "compare --dataset auto", "compare --config digits"])
def test_the_fallback_is_the_recipe_of_the_digits_in_everything(command: str, nowhere: Path) -> None:
    recipe = load_recipe("digits")
    expected = [recipe.run(norm, recipe.seed).fingerprint for norm in recipe.norms]
    runs = planned(dry_run(*command.split()))
    assert [config.fingerprint for config, _ in runs] == expected
    assert {experiment for _, experiment in runs} == {"digits"}
    assert {config.tuned for config, _ in runs} == {True}


def test_flags_override_the_recipe_that_is_fallen_back_to_but_do_not_choose_its_images(nowhere: Path) -> None:
    flags = ("--norms", "gn", "--epochs", 2, "--subset", 500, "--set", "norm.gn.lr=0.03", "--name", "mine")
    ((config, experiment),) = planned(dry_run("compare", "--config", "quick", *flags))
    recipe = load_recipe("digits", {"training": {"epochs": 2}, "norm": {"gn": {"lr": 0.03}}})
    assert config.fingerprint == recipe.run("gn", 0).fingerprint
    assert (config.data.subset, experiment) == (None, "mine")


def test_digits_that_are_asked_for_by_name_are_trained_as_the_recipe_says(nowhere: Path) -> None:
    runs = planned(dry_run("compare", "--config", "quick", "--dataset", "digits"))
    quick = load_recipe("quick", {"data": {"name": "digits"}})
    assert [config.fingerprint for config, _ in runs] == [quick.run(norm, 0).fingerprint for norm in quick.norms]
    assert {experiment for _, experiment in runs} == {"quick"}


def test_a_recipe_without_a_fallback_keeps_its_settings_with_a_warning(nowhere: Path) -> None:
    own = nowhere / "own.toml"
    own.write_text(recipe_path("quick").read_text().replace('fallback = "digits"\n', ""))
    answer = dry_run("compare", "--config", own)
    assert {(config.data.name, config.training.batch_size, name) for config, name in planned(answer)} == {
        ("digits", 64, "own")
    }
    assert [warning for warning in answer.document["warnings"] if "on the embedded digits, not on CIFAR-10" in warning]


@pytest.mark.parametrize(
    "command", ["tune --norms bn --trials 2", "batch-size --norms bn --sizes 4", "claims --norms bn"]
)
def test_a_study_falls_back_to_the_recipe_as_a_whole(command: str, nowhere: Path) -> None:
    answer = dry_run(*command.split(), "--config", "quick", "--seed", 3)
    digits = load_recipe("digits")
    configs = [config for config, _ in planned(answer)]
    assert {(config.data.name, config.data.subset, config.seed) for config in configs} == {("digits", None, 3)}
    assert {(config.training.epochs, config.training.schedule) for config in configs} == {
        (digits.training.epochs, digits.training.schedule)
    }
    assert "the recipe digits takes its place" in answer.stderr


def test_what_a_search_without_cifar10_hands_to_compare_is_trained(nowhere: Path) -> None:
    own = nowhere / "own.toml"
    own.write_text(
        'norms = ["bn"]\n[network]\nwidths = [4, 4, 4, 4, 4, 4, 4, 4, 4, 4]\n[data]\nname = "auto"\nsubset = 10000\n'
        "[training]\nepochs = 1\nbatch_size = 256\n"
    )
    assert normbench("tune", "--config", own, "--trials", 2, "--offline", "--out", "runs").code == 0
    (tuned,) = Path("runs").glob("*/tuned.toml")
    ((config, _),) = planned(dry_run("compare", "--config", tuned))
    assert (config.data.name, config.data.subset, config.data.val_split) == ("digits", None, 0.0)


def test_cifar10_that_is_asked_for_is_never_replaced(nowhere: Path) -> None:
    refused(normbench("compare", "--all", "--offline"), DATA_UNAVAILABLE, "--config digits", "data --fetch")
    assert list(nowhere.rglob("config.json")) == []


def test_the_python_api_falls_back_alike(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMBENCH_OFFLINE", "1")
    few = {"network.widths": [4] * 10}
    result = nb.train("bn", recipe="quick", epochs=1, batch_size=64, settings=few, out=nowhere / "runs")
    assert (result.dataset, Path(result.folder or "").parent.name) == ("digits", "digits")


def test_a_fallback_is_the_name_of_a_recipe(nowhere: Path) -> None:
    own = nowhere / "own.toml"
    shutil.copy(recipe_path("digits"), own)
    own.write_text('fallback = "digit"\n' + own.read_text())
    refused(normbench("compare", "--config", own), 2, "fallback", "unknown recipe", "'digits'")
