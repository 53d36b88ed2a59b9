"""`normbench train`: one run, its table, its document, its folder, and doing it again."""

import json
from pathlib import Path

import pytest
from helpers.cli import Answer, normbench, run_folders, train

FILES = {".lock", "config.json", "confusion.json", "env.json", "metrics.jsonl", "model.safetensors", "result.json"}
ACCURACIES = ("train_accuracy", "train_loss", "test_accuracy", "test_loss")


def scores(answer: Answer) -> list[float]:
    return [answer.document["run"][name] for name in ACCURACIES]


def test_train_prints_both_accuracies_and_names_the_data_set(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "gn")
    assert answer.code == 0
    for word in ("train accuracy", "test accuracy", "%", "digits, not CIFAR-10", "256 train", "seed 0", "1 epoch;"):
        assert word in answer.words


def test_json_is_one_document_with_fractions(tmp_path: Path) -> None:
    run = train(tmp_path, "--norm", "gn", "--json").document["run"]
    assert (run["status"], run["dataset"], run["train_images"]) == ("done", "digits", 256)
    assert 0 <= run["train_accuracy"] <= 1
    # Whole images: an accuracy is a number of right answers over the number of images.
    assert run["test_accuracy"] * run["test_images"] == pytest.approx(round(run["test_accuracy"] * run["test_images"]))
    assert 0 <= run["test_accuracy"] <= 1


def test_quiet_prints_the_test_accuracy_and_nothing_else(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "gn", "-q")
    result = json.loads((run_folders(tmp_path)[0] / "result.json").read_text())
    assert answer.stderr == ""
    assert answer.stdout == f"{result['test_accuracy']:.4f}\n"


def test_the_table_shows_what_the_document_says(tmp_path: Path) -> None:
    table, document = (train(tmp_path, "--norm", "gn", *more) for more in ((), ("--json",)))
    for accuracy in scores(document)[::2]:
        assert f"{100 * accuracy:.2f} %" in table.words


def test_a_run_that_is_done_is_shown_again_and_not_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path, "--norm", "gn", "--json")
    model = run_folders(tmp_path)[0] / "model.safetensors"
    written = model.stat().st_mtime_ns
    again = train(tmp_path, "--norm", "gn", "--json")
    assert again.stdout == first.stdout
    assert "already done" in again.stderr
    assert "epoch 1/1" not in again.stderr
    assert model.stat().st_mtime_ns == written


def test_force_trains_again_with_the_same_numbers(tmp_path: Path) -> None:
    first = train(tmp_path, "--norm", "gn", "--json")
    again = train(tmp_path, "--norm", "gn", "--json", "--force")
    assert "epoch 1/1" in again.stderr
    assert scores(again) == scores(first)
    assert len(run_folders(tmp_path)) == 1


def test_another_folder_gives_the_same_numbers_and_another_seed_others(tmp_path: Path) -> None:
    first, same, other = (
        scores(train(tmp_path / name, "--norm", "gn", "--json", "--seed", seed))
        for name, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first == same
    assert first != other


def test_deterministic_is_recorded_and_repeats_itself(tmp_path: Path) -> None:
    first, again = (train(tmp_path / name, "--norm", "bn", "--deterministic", "--json") for name in "ab")
    assert scores(first) == scores(again)
    environment = json.loads((run_folders(tmp_path / "a")[0] / "env.json").read_text())
    assert environment["deterministic_algorithms"] is True


def test_a_dry_run_names_the_folder_and_writes_nothing(tmp_path: Path) -> None:
    dry = train(tmp_path, "--norm", "gn", "--dry-run")
    named = train(tmp_path, "--norm", "gn", "--dry-run", "-q").stdout.strip()
    assert "Nothing was run." in dry.stdout
    assert list(tmp_path.iterdir()) == []
    train(tmp_path, "--norm", "gn")
    assert [str(folder) for folder in run_folders(tmp_path)] == [named]


def test_a_dry_run_shows_long_folders_whole(tmp_path: Path) -> None:
    out = tmp_path / ("long" * 40) / "[bold]"
    shown = train(out, "--norm", "gn", "--dry-run").stdout
    named = train(out, "--norm", "gn", "--dry-run", "-q").stdout.strip()
    assert named in "".join(line.split()[-1] for line in shown.splitlines() if "/" in line or "long" in line)
    assert "gn" in shown.split()


def test_the_run_folder_holds_what_it_should(tmp_path: Path) -> None:
    train(tmp_path, "--norm", "gn", "--epochs", 2)
    (folder,) = run_folders(tmp_path)
    assert {path.name for path in folder.iterdir()} == FILES
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert json.loads((folder / "config.json").read_text())["training"]["epochs"] == 2


def test_off_a_terminal_progress_is_one_line_an_epoch_on_stderr(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "gn", "--epochs", 3)
    lines = [line for line in answer.stderr.splitlines() if "running loss" in line]
    assert ["epoch 1/3" in lines[0], "epoch 2/3" in lines[1], "epoch 3/3" in lines[2], len(lines)] == [True] * 3 + [3]
    assert "\x1b" not in answer.stderr + answer.stdout


def test_flags_beat_the_recipe_which_beats_the_defaults(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("seed = 5\n[training]\nmomentum = 0.5\nlr = 0.3\n[norm.gn]\nlr = 0.2\nweight_decay = 0.01\n")
    options = ("--norm", "gn", "--config", recipe, "--dry-run", "--json")
    config, flagged = (
        train(tmp_path, *options, *more).document["runs"][0]["config"]
        for more in ((), ("--lr", "0.1", "--seed", 0, "--set", "training.momentum=0.7"))
    )
    taken = [
        [one["seed"], *(one["training"][key] for key in ("momentum", "lr", "weight_decay"))]
        for one in (config, flagged)
    ]
    assert taken == [[5, 0.5, 0.2, 0.01], [0, 0.7, 0.1, 0.01]]


def test_a_variable_names_the_output_folder_and_a_flag_beats_it() -> None:
    options = ("train", "--norm", "gn", "--dataset", "digits", "--dry-run", "-q")
    named = normbench(*options, NORMBENCH_OUT="there").stdout
    flagged = normbench(*options, "--out", "elsewhere", NORMBENCH_OUT="there").stdout
    assert (Path(named).parts[0], Path(flagged).parts[0]) == ("there", "elsewhere")


def test_science_never_comes_from_a_variable(tmp_path: Path) -> None:
    (config,) = train(tmp_path, "--norm", "gn", "--dry-run", "--json", NORMBENCH_SEED="3").document["runs"]
    assert config["config"]["seed"] == 0


def test_a_diverged_run_fails_and_says_where_and_what_to_try(tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", "none", "--lr", "1e20", "--json")
    assert answer.code == 1
    run = answer.document["run"]
    assert (run["status"], run["test_accuracy"]) == ("diverged", None)
    for word in ("diverged", "epoch 1", "1e+20", "--lr 3.3e+19"):
        assert word in answer.stderr
    again = train(tmp_path, "--norm", "none", "--lr", "1e20")
    assert (again.code, "diverged" in again.stderr) == (1, True)
