"""`normbench tune`: equal budgets, points that every process derives alike, and a recipe that `compare` takes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from helpers.cli import SMALL, Answer, normbench, refused, run_folders, without_settings

from normbench.config import Recipe, RunConfig, load_recipe
from normbench.config.search import Range
from normbench.errors import USAGE, UsageError
from normbench.runs import RunResult
from normbench.studies.tune.budget import Budget, budget, expected_best, leaders
from normbench.studies.tune.search import Search, Trial, search
from normbench.studies.tune.settings import TuneSettings
from normbench.studies.tune.space import Dimension, dimensions, grid_points, sobol_points, tuned_name

TINY = ("--dataset", "digits", "--subset", 128, "--epochs", 1, "--batch-size", 64, "--set", SMALL)


def tune(out: Path, *arguments: object) -> Answer:
    return normbench("tune", *TINY, "--norms", "bn,gn", "--out", out, *arguments)


def recipe(**search_space: object) -> Recipe:
    return Recipe.model_validate({"norms": ["bn", "gn"], "data": {"val_split": 0.1}, "search": search_space})


def trained(configs: Sequence[RunConfig]) -> list[RunResult]:
    """Made-up results: accuracy falls with the distance of the rate from 0.1, and a rate above 0.5 diverges."""
    return [_result(config) for config in configs]


def _result(config: RunConfig) -> RunResult:
    lr = config.training.lr
    diverged = lr > 0.5
    return RunResult(
        status="diverged" if diverged else "done", norm=config.norm, seed=config.seed, dataset="digits", split_seed=0,
        network="c10", parameters=1, epochs=0 if diverged else 1, batch_size=64, lr=lr,
        weight_decay=config.training.weight_decay, train_images=128, test_images=360, seconds=1.0, device="cpu",
        torch="2", precision="fp32", fingerprint=config.fingerprint, folder=f"runs/{config.fingerprint}",
        validation_accuracy=None if diverged else 0.9 - abs(np.log10(lr / 0.1)) / 10 - config.seed / 1000,
    )  # fmt: skip


def test_every_norm_gets_the_same_points_of_the_space_that_it_shares() -> None:
    spaces = dimensions(recipe(norm={"gn": {"groups": [2, 4, 8]}}))
    points = sobol_points(spaces, 16, 0)
    assert [{name: point[name] for name in ("lr", "weight_decay")} for point in points["gn"]] == points["bn"]
    assert {point["groups"] for point in points["gn"]} == {2, 4, 8}
    assert sobol_points(spaces, 16, 0) == points != sobol_points(spaces, 16, 1)
    assert sobol_points(spaces, 9, 0)["bn"] == points["bn"][:9], "more trials extend a search"
    rates = sorted(float(point["lr"]) for point in points["bn"])
    assert [int(4 * np.log10(rate / 1e-3) / 3) for rate in rates] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4


def test_a_grid_has_every_value_of_a_list_and_as_many_of_each_interval() -> None:
    spaces = dimensions(recipe(decay_norms=[True, False]))
    points = grid_points(spaces, 20)["bn"]
    assert len(points) == 2 * 3 * 3
    assert {point["lr"] for point in points} == {0.001, 0.0316, 1.0}
    assert {point["decay_norms"] for point in points} == {True, False}
    with pytest.raises(UsageError, match="8 points, more than 7 trials"):
        grid_points(spaces, 7)


def test_a_best_value_near_an_end_names_the_interval_that_would_settle_it() -> None:
    rate = Dimension("lr", Range(low=1e-3, high=1.0))
    assert rate.beyond(0.9) == ("high", 30.0)
    assert rate.beyond(0.0011) == ("low", 3e-05)
    assert rate.beyond(0.1) is None
    momentum = Dimension("momentum", Range(low=0.5, high=0.9, log=False))
    assert momentum.beyond(0.89) == ("high", 1.0)
    assert Dimension("decay_norms", (True, False)).beyond(True) is None


def test_an_argument_of_a_norm_is_part_of_its_name() -> None:
    space = [Dimension("groups", (2, 4), is_argument=True)]
    assert tuned_name("gn", {"groups": 2}, space) == "gn(groups=2)"
    assert tuned_name("gn+ws", {"groups": 2}, space) == "gn(groups=2)+ws"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_expected_best_is_the_mean_over_all_subsets(count: int) -> None:
    scores = np.array([0.3, 0.9, 0.5, 0.5, 0.1][:count])
    subsets = [np.mean([max(s) for s in itertools.combinations(scores, n)]) for n in range(1, count + 1)]
    np.testing.assert_allclose(expected_best(scores), subsets, rtol=1e-12)


def test_a_ranking_that_depends_on_the_budget_is_seen() -> None:
    steady, wild = (0.5, 0.5, 0.5), (0.2, 0.6, 0.9)
    assert leaders({"a": Budget(steady, None, None), "b": Budget(wild, None, None)}) == [(1, "a"), (2, "b")]


def _search(settings: TuneSettings, chosen: Recipe | None = None) -> Search:
    return search(chosen or recipe(), settings, trained)


def test_a_diverged_trial_counts_as_the_worst_and_is_no_best_setting() -> None:
    outcome = _search(TuneSettings(trials=16))
    best = outcome.best("bn")
    assert best is not None
    assert best.runs[0].status == "done"
    assert best.point["lr"] == min((t.point["lr"] for t in outcome.trials["bn"]), key=lambda lr: abs(np.log(lr / 0.1)))
    diverged = [trial for trial in outcome.trials["bn"] if trial.diverged]
    assert diverged
    assert {trial.accuracy for trial in diverged} == {0.0}
    curve = budget(outcome.trials["bn"], 0, adaptive=False)
    assert curve is not None
    assert curve.expected[0] == pytest.approx(np.mean([trial.accuracy for trial in outcome.trials["bn"]]))


def test_tpe_chooses_after_the_first_eight_and_the_same_again() -> None:
    outcome = _search(TuneSettings(trials=16, sampler="tpe"))
    again = _search(TuneSettings(trials=16, sampler="tpe"))
    assert [trial.point for trial in outcome.trials["gn"]] == [trial.point for trial in again.trials["gn"]]
    plain = sobol_points(dimensions(recipe()), 16, 0)["gn"]
    chosen = [trial.point for trial in outcome.trials["gn"]]
    assert chosen[:8] == plain[:8]
    assert chosen[8:] != plain[8:]
    distance = [abs(np.log10(float(point["lr"]) / 0.1)) for point in chosen]
    assert np.mean(distance[8:]) < np.mean(distance[:8]), "it learns where the accuracy is"


def test_the_best_are_confirmed_on_more_seeds_and_chosen_among() -> None:
    outcome = _search(TuneSettings(trials=8, confirm=2, confirm_seeds=3))
    confirmed = [trial for trial in outcome.trials["bn"] if len(trial.runs) == 3]
    assert [[run.seed for run in trial.runs] for trial in confirmed] == [[0, 1, 2], [0, 1, 2]]
    by_accuracy = sorted(outcome.trials["bn"], key=lambda trial: -(trial.accuracy or 0))
    assert {trial.number for trial in confirmed} == {trial.number for trial in by_accuracy[:2]}
    assert outcome.best("bn") in confirmed


def test_a_search_ends_with_a_recipe_that_compare_takes(tmp_path: Path) -> None:
    answer = tune(tmp_path, "--trials", 3, "--json")
    document = answer.document
    path = Path(document["values"]["recipe"])
    chosen = load_recipe(str(path))
    assert chosen.norms == ("bn", "gn")
    for norm, best in document["values"]["best"].items():
        assert chosen.norm[norm].lr == best["settings"]["lr"]
        assert chosen.norm[norm].weight_decay == best["settings"]["weight_decay"]
    assert chosen.data.val_split == 0.0, "what was held out to choose by is trained on afterwards"
    assert "test images were not read" in path.read_text(encoding="utf-8")
    assert {run["test_accuracy"] for run in map(_result_of, tmp_path.glob("*/*/result.json"))} == {None}
    compared = normbench("compare", "--config", path, "--out", tmp_path, "--json").document
    assert [row["tuned"] for row in compared["rows"]] == [True, True]


def _result_of(path: Path) -> dict[str, object]:

    return dict(json.loads(path.read_text()))


def test_more_trials_extend_a_search_and_train_only_what_is_new(tmp_path: Path) -> None:
    tune(tmp_path, "--trials", 2, "--json")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")}
    tune(tmp_path, "--trials", 3, "--json")
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")}
    assert len(before) == 4
    assert len(after) == 6
    assert {path: after[path] for path in before} == before


def test_the_journal_is_one_that_optuna_reads(tmp_path: Path) -> None:
    tune(tmp_path, "--trials", 2, "--json")
    (journal,) = tmp_path.glob("*/optuna.journal")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal)))
    study = optuna.load_study(study_name="gn", storage=storage)
    assert [set(trial.params) for trial in study.trials] == [{"lr", "weight_decay"}] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--trials", 1), ["trials", "2 to 1,000"]),
        (("--sampler", "random"), ["sampler", "sobol"]),
        (("--sampler", "tpe", "--trials", 8), ["8", "--trials 12"]),
        (("--sampler", "grid", "--trials", 3), ["coarsest grid", "4 points"]),
        (("--set", "search.norm.ln.eps=[0.1]"), ["search.norm.ln", "--norms"]),
        (("--set", "search.lr.low=1", "--set", "search.lr.high=0.1"), ["search.lr", "low must be below high"]),
        (("--set", "search.momentum=[1.5]"), ["momentum", "1.5"]),
        (("--set", "search.epochs=[1]"), ["epochs", "lr"]),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_is_refused_in_words(
    tmp_path: Path, arguments: tuple[object, ...], words: list[str]
) -> None:
    refused(tune(tmp_path, *arguments), USAGE, *words)
    assert not run_folders(tmp_path)


def test_another_space_is_another_experiment(tmp_path: Path) -> None:
    tune(tmp_path, "--trials", 2, "--name", "mine", "--json")
    other = tune(tmp_path, "--trials", 2, "--name", "mine", "--set", "search.lr=[0.1]")
    refused(other, USAGE, "mine", "space")


def test_a_killed_search_goes_on_and_two_processes_share_one(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "normbench", "tune", *map(str, TINY), "--norms", "bn,gn", "--trials", "4", "--json",
        "--set", "training.epochs=3",
    ]  # fmt: skip
    environment = without_settings() | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([*command, "--out", tmp_path / "a"], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "a").glob("*/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    both = [
        subprocess.Popen(
            [*command, "--out", tmp_path / "a"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    documents = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]

    first, second = (json.loads(text)["values"]["best"] for text in documents)
    assert first == second
    whole = normbench(*command[3:], "--out", tmp_path / "b").document["values"]["best"]
    for norm, best in whole.items():
        assert best["settings"] == first[norm]["settings"]
        assert best["runs"][0]["validation_accuracy"] == first[norm]["runs"][0]["validation_accuracy"]
    assert tomllib.loads(next((tmp_path / "a").glob("*/tuned.toml")).read_text())["norms"] == ["bn", "gn"]


def test_a_trial_that_failed_is_no_best_setting() -> None:
    failed = _result(load_recipe("quick").run("bn", 0)).model_copy(
        update={"status": "failed", "validation_accuracy": None}
    )
    trial = Trial("bn", 0, {"lr": 0.1}, (failed,))
    assert trial.accuracy is None
    outcome = Search(recipe(), TuneSettings(trials=2), {"bn": [Dimension("lr", (0.1,))]}, {"bn": [trial]})
    assert outcome.best("bn") is None
