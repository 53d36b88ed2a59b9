"""Documented accuracies are those of the kept runs: computed again from `docs/results`."""

import json
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from normbench.analysis import Comparison
from normbench.config.recipes import load_recipe
from normbench.norms import NORMS as NORM_RECORDS
from normbench.report.export import write_comparison
from normbench.runs import list_experiment
from normbench.studies.tune.budget import expected_best

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
NORMS = ("bn", "gn", "ln")
LATER = ("sn", "bin", "ebn")
"""Norms with settings in the recipe tuned that are not in its list."""


def kept(experiment, norms=NORMS):
    """The results of an experiment's runs, in the order of its tables."""
    results = [entry.result for entry in list_experiment(RESULTS / experiment)]
    return sorted(results, key=lambda result: (norms.index(result.norm), result.seed, result.lr))


def documentation():
    return (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def tries(name):
    """The runs of a search that are kept without their folders."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))["runs"]


def percent(accuracy):
    return f"{100 * accuracy:.2f} %"


def rows(text):
    """The rows of all Markdown tables of a text, cell by cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip().replace("\\", "").strip("*") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("experiment", "norms"),
    [
        ("fast", load_recipe("fast").norms),
        ("fast-h200", load_recipe("fast").norms),
        ("baseline", load_recipe("baseline").norms),
        ("record", load_recipe("record").norms),
        ("tuned", load_recipe("tuned").norms),
        ("tuned-cpu", LATER),
    ],
)
def test_the_rows_of_the_documented_tables_are_those_of_the_runs(experiment, norms, tmp_path):
    results = kept(experiment, norms)
    assert [(result.norm, result.seed) for result in results] == [(norm, seed) for norm in norms for seed in range(5)]
    write_comparison(tmp_path, Comparison.of(results))
    documented = rows(documentation())
    for row in rows((tmp_path / "table.md").read_text(encoding="utf-8")):
        assert row in documented or row[:6] in documented


def test_the_readme_shows_the_accuracies_of_the_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    write_comparison(tmp_path, Comparison.of(kept("baseline")))
    for norm, train, test, _, _, parameters, lr, _, seeds, _ in rows((tmp_path / "table.md").read_text())[1:4]:
        assert [norm, train, test, parameters, lr, seeds] in rows(readme)
    for recipe in ("fast", "record"):
        write_comparison(tmp_path, Comparison.of(kept(recipe)))
        for norm, _, test, *_ in rows((tmp_path / "table.md").read_text())[1:4]:
            assert f"{test} ({norm})" in readme


@pytest.mark.parametrize(("name", "rates"), [("fast", 4), ("record", 5)])
def test_a_recipe_has_the_best_rates_of_its_search(name, rates):
    searched = kept(f"{name}-search")
    recipe = load_recipe(name)
    documented = rows(documentation())
    for norm in NORMS:
        runs = [result for result in searched if result.norm == norm]
        assert [result.test_accuracy for result in runs] == [None] * rates
        assert recipe.run(norm, 0).training.lr == max(runs, key=lambda result: result.validation_accuracy or 0).lr
        cells = [percent(accuracy) if (accuracy := run.validation_accuracy) else run.status for run in runs]
        assert [norm, *cells] in documented


@pytest.mark.parametrize("experiment", ["fast", "baseline", "record", "tuned", "tuned-cpu"])
def test_the_recipes_are_what_the_runs_were_trained_with(experiment):
    recipe = load_recipe(experiment.removesuffix("-cpu"))
    results = kept(experiment, (*recipe.norms, *LATER))
    for result in results:
        config = recipe.run(result.norm, result.seed, norm_revision=NORM_RECORDS[result.norm].revision)
        assert config.fingerprint == result.fingerprint


def test_the_tries_for_the_fast_recipe_are_documented_with_the_best_rate_of_each_norm():
    def settings(run):
        return [value for name, value in run.items() if name not in ("norm", "lr", "status", "validation_accuracy")]

    documented = rows(documentation())
    groups = groupby(sorted((run for run in tries("fast-tries.json") if run["seed"] == 0), key=settings), key=settings)
    for _, group in groups:
        runs = list(group)
        best = [
            max((run for run in runs if run["norm"] == norm), key=lambda run: run["validation_accuracy"])
            for norm in NORMS
        ]
        rates = ", ".join(f"{lr:g}" for lr in sorted({run["lr"] for run in runs}))
        cells = [f"{percent(run['validation_accuracy'])} ({run['lr']:g})" for run in best]
        assert [rates, *cells] in [row[1:] for row in documented]


def test_the_tries_for_the_record_are_documented():
    documented = rows(documentation())
    for _, group in groupby(tries("record-tries.json"), key=lambda run: run["changed"]):
        assert [percent(run["validation_accuracy"]) for run in group] in [row[1:] for row in documented]


@pytest.mark.parametrize("norm", list(dict.fromkeys(trial["norm"] for trial in tries("tuned-tries.json"))))
def test_the_recipe_tuned_has_the_best_trial_of_each_norm(norm):
    trials = [trial for trial in tries("tuned-tries.json") if trial["norm"] == norm]
    best = max(trials, key=lambda trial: trial["validation_accuracy"] or 0)
    training = load_recipe("tuned").run(norm, 0).training
    assert (len(trials), training.lr, training.weight_decay) == (8, best["lr"], best["weight_decay"])
    finished = f"{sum(trial['status'] == 'done' for trial in trials)} of 8"
    expected = expected_best(np.array([trial["validation_accuracy"] or 0.0 for trial in trials]))
    cells = [f"{best['lr']:g}", f"{best['weight_decay']:g}", percent(best["validation_accuracy"]), finished]
    assert [norm, *cells, *(percent(expected[n - 1]) for n in (1, 2, 4))] in rows(documentation())
