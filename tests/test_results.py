"""Documented accuracies are those of the kept runs: computed again from `docs/results`."""

from pathlib import Path

import pytest

from normbench.analysis import Comparison
from normbench.config.recipes import load_recipe
from normbench.report.export import write_comparison
from normbench.runs import list_experiment

ROOT = Path(__file__).parent.parent
NORMS = ("bn", "gn", "ln")


def kept(experiment):
    """The results of an experiment's runs, in the order of its tables."""
    results = [entry.result for entry in list_experiment(ROOT / "docs" / "results" / experiment)]
    return sorted(results, key=lambda result: (NORMS.index(result.norm), result.seed, result.lr))


def rows(text):
    """The rows of all Markdown tables of a text, cell by cell."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip().replace("\\", "").strip("*") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(
    ("experiment", "seeds"), [("fast", 1), ("fast-three-epochs", 3), ("baseline", 5), ("record", 5)]
)
def test_the_rows_of_the_documented_tables_are_those_of_the_runs(experiment, seeds, tmp_path):
    results = kept(experiment)
    assert [result.seed for result in results] == [*range(seeds)] * len(NORMS)
    write_comparison(tmp_path, Comparison.of(results))
    documented = rows((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    for row in rows((tmp_path / "table.md").read_text(encoding="utf-8")):
        assert row in documented or row[:6] in documented


def test_the_readme_shows_the_accuracies_of_the_runs(tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    write_comparison(tmp_path, Comparison.of(kept("baseline")))
    for norm, train, test, _, _, parameters, lr, _, seeds, _ in rows((tmp_path / "table.md").read_text())[1:4]:
        assert [norm, train, test, parameters, lr, seeds] in rows(readme)
    write_comparison(tmp_path, Comparison.of(kept("record")))
    for norm, _, test, *_ in rows((tmp_path / "table.md").read_text())[1:4]:
        assert f"{test} ({norm})" in readme


@pytest.mark.parametrize(("name", "rates"), [("fast", 3), ("record", 5)])
def test_a_recipe_has_the_best_rates_of_its_search(name, rates):
    searched = kept(f"{name}-search")
    recipe = load_recipe(name)
    documented = rows((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    for norm in NORMS:
        runs = [result for result in searched if result.norm == norm]
        assert [result.test_accuracy for result in runs] == [None] * rates
        assert recipe.run(norm, 0).training.lr == max(runs, key=lambda result: result.validation_accuracy or 0).lr
        cells = [f"{100 * accuracy:.2f} %" if (accuracy := run.validation_accuracy) else run.status for run in runs]
        assert [norm, *cells] in documented


@pytest.mark.parametrize("experiment", ["fast", "baseline", "record"])
def test_the_recipes_are_what_the_runs_were_trained_with(experiment):
    recipe = load_recipe(experiment)
    assert {recipe.run(result.norm, result.seed).fingerprint for result in kept(experiment)} == {
        result.fingerprint for result in kept(experiment)
    }
