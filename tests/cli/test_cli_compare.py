"""`normbench compare`: several norms on equal terms, seeds, and the search for settings."""

import json
from pathlib import Path

import pytest
from helpers.cli import Answer, compare, normbench, refused, run_folders, train

from normbench.errors import SOME_RUNS_FAILED, USAGE
from normbench.norms import NORMS


def planned(out: Path, *arguments: object) -> list[dict]:
    answer = compare(out, *arguments, "--dry-run", "--json")
    assert answer.code == 0
    return [run["config"] for run in answer.document["runs"]]


def rows(answer: Answer) -> list[str]:
    return [row["norm"] for row in answer.document["rows"]]


def test_all_is_the_three_norms_of_the_assignment(tmp_path: Path) -> None:
    answer = compare(tmp_path, "--all", "--json")
    assert (answer.code, rows(answer)) == (0, ["bn", "gn", "ln"])
    assert len(run_folders(tmp_path)) == 3


def test_norms_keep_the_order_they_are_given_in_and_count_once(tmp_path: Path) -> None:
    assert [run["norm"] for run in planned(tmp_path, "--norms", "ln, bn,ln,gn+ws")] == ["ln", "bn", "gn+ws"]


def test_every_is_the_whole_registry(tmp_path: Path) -> None:
    assert [run["norm"] for run in planned(tmp_path, "--every", "--max-params", 10**6)] == list(NORMS)


def test_norms_differ_in_nothing_but_the_norm_and_what_the_recipe_found_for_each(tmp_path: Path) -> None:
    same_rate = planned(tmp_path, "--all", "--lr", 0.1)
    bare = [{key: value for key, value in run.items() if key != "norm"} for run in same_rate]
    assert bare[0] == bare[1] == bare[2]
    for own, run in zip(planned(tmp_path, "--all"), same_rate, strict=True):
        assert own | {"training": own["training"] | {"lr": 0.1}, "tuned": False} == run


def test_every_norm_sees_the_same_seeds(tmp_path: Path) -> None:
    runs = planned(tmp_path, "--norms", "bn,gn", "--seed", 4, "--seeds", 2)
    assert [(run["norm"], run["seed"]) for run in runs] == [("bn", 4), ("bn", 5), ("gn", 4), ("gn", 5)]


def test_the_table_has_the_accuracies_and_says_on_what(tmp_path: Path) -> None:
    answer = compare(tmp_path, "--norms", "gn,ln")
    for word in ("train accuracy", "test accuracy", "digits, not CIFAR-10", "256 train", "batch 64", "seed 0"):
        assert word in answer.words


def test_seeds_give_a_mean_with_its_interval(tmp_path: Path) -> None:
    table = compare(tmp_path, "--norms", "gn", "--seeds", 3)
    document = compare(tmp_path, "--norms", "gn", "--seeds", 3, "--json").document
    (row,) = document["rows"]
    accuracy = row["test_accuracy"]
    half = 4.30265 * accuracy["sd"] / 3**0.5  # Student's t for three seeds, from the tables
    assert accuracy["mean"] == pytest.approx(sum(run["test_accuracy"] for run in document["runs"]) / 3)
    assert accuracy["high95"] - accuracy["mean"] == pytest.approx(half, rel=1e-4)
    assert f"{100 * accuracy['mean']:.2f} ± {100 * half:.2f} %" in table.words
    assert "95 % interval" in table.words
    two = compare(tmp_path, "--norms", "gn", "--seeds", 2)
    values = ", ".join(f"{100 * run['test_accuracy']:.2f}" for run in document["runs"][:2])
    assert f"{values} %" in two.words
    assert "±" not in two.words.split("Other test images")[0]  # whose own uncertainty is printed after the table


def test_quiet_prints_a_norm_and_its_accuracy_a_line(tmp_path: Path) -> None:
    answer = compare(tmp_path, "--norms", "gn,ln", "-q")
    document = compare(tmp_path, "--norms", "gn,ln", "--json").document
    expected = [f"{row['norm']} {row['test_accuracy']['mean']:.4f}" for row in document["rows"]]
    assert (answer.stdout.splitlines(), answer.stderr) == (expected, "")


def test_a_search_leaves_the_test_images_unread_and_takes_the_best_on_validation(tmp_path: Path) -> None:
    search = ("--norms", "gn,bn", "--lr", "0.0001,0.1,0.1", "--val-split", "0.1", "--epochs", 3)
    answer = compare(tmp_path, *search, "--json")
    runs = answer.document["runs"]
    assert [(run["norm"], run["lr"]) for run in runs] == [(n, lr) for n in ("gn", "bn") for lr in (0.0001, 0.1)]
    assert {run["test_accuracy"] for run in runs} == {run["test_loss"] for run in runs} == {None}
    for norm, found in answer.document["best"].items():
        accuracies = {run["lr"]: run["validation_accuracy"] for run in runs if run["norm"] == norm}
        assert accuracies[found["lr"]] == max(accuracies.values())


def test_a_search_prints_settings_that_a_recipe_takes(tmp_path: Path) -> None:
    answer = compare(tmp_path, "--norms", "gn,ln", "--lr", "0.01,0.1", "--val-split", "0.1")
    assert "The test images were not read." in answer.words
    assert answer.stdout.count("best on validation") == 2
    recipe = tmp_path / "found.toml"
    recipe.write_text(answer.stdout.split("For a recipe:")[1])
    found = train(tmp_path, "--norm", "ln", "--config", recipe, "--dry-run", "--json").document["runs"][0]["config"]
    assert f"[norm.ln]\nlr = {found['training']['lr']:g}" in recipe.read_text()


def test_one_norm_that_diverges_stops_no_other_and_shows_in_code_and_table(tmp_path: Path) -> None:
    recipe = tmp_path / "mixed.toml"
    recipe.write_text('norms = ["none", "gn"]\n[norm.none]\nlr = 1e20\n')
    answer = compare(tmp_path, "--config", recipe)
    assert answer.code == SOME_RUNS_FAILED
    assert "none: seed 0 diverged" in answer.words
    assert "1 of 1 diverged" in answer.words
    for name in ("table.md", "table.tex"):
        assert "1 of 1 diverged" in (tmp_path / "mixed" / name).read_text(encoding="utf-8")
    assert compare(tmp_path, "--config", recipe, "-q").stdout.splitlines()[0] == "none 1 of 1 diverged"
    document = compare(tmp_path, "--config", recipe, "--json").document
    lost = document["rows"][0]
    assert (lost["test_accuracy"], lost["runs"], lost["finished"], lost["diverged"]) == (None, 1, 0, 1)
    runs = document["runs"]
    assert [(run["norm"], run["status"]) for run in runs] == [("none", "diverged"), ("gn", "done")]
    assert runs[1]["test_accuracy"] is not None


def test_settings_of_one_norm_on_the_command_line_leave_the_others_their_own(tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text("[norm.bn]\nlr = 0.05\n[norm.gn]\nlr = 0.07\n")
    runs = planned(tmp_path, "--config", recipe, "--norms", "bn,gn", "--set", "norm.bn.lr=0.5")
    assert [run["training"]["lr"] for run in runs] == [0.5, 0.07]


def test_a_comparison_reuses_the_run_of_train(tmp_path: Path) -> None:
    alone = train(tmp_path, "--norm", "gn", "--json").document["run"]
    answer = compare(tmp_path, "--norms", "gn,ln", "--json")
    assert "gn seed 0: already done" in answer.stderr
    assert answer.document["runs"][0] == alone
    assert json.loads((run_folders(tmp_path)[0] / "result.json").read_text()) == alone


@pytest.mark.parametrize("command", ["compare", "tune", "batch-size", "rank"])
def test_a_budget_that_no_norm_keeps_is_refused(tmp_path: Path, command: str) -> None:
    answer = normbench(command, "--every", "--max-params", 10, "--dataset", "digits", "--dry-run", "--out", tmp_path)
    refused(answer, USAGE, "over the budget of fewer than 10")
