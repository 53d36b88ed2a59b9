"""`normbench claims`: five claims with a verdict each, judged by paired figures, and the notebook's set-up."""

from pathlib import Path

import pytest
import torch
from helpers.cli import SMALL, normbench, refused, run_folders
from helpers.results import make_result

from normbench.analysis import compare_pairs
from normbench.config import Recipe
from normbench.errors import USAGE
from normbench.studies.claims import figures
from normbench.studies.claims.measure import Claim
from normbench.studies.claims.notebook import RECIPES, network, train_techniques
from normbench.studies.claims.runs import INITS, configs, init_trials, rate_trials, regularizer_trials, undecayed

TINY = ("--dataset", "digits", "--subset", 64, "--epochs", 1, "--set", SMALL)
RATES = (0.05, 0.5)


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("claimed")
    arguments = ("--norms", "bn", "--seeds", 2, "--rates", "0.05,0.5", "--gains", 1, "--out", out, "--json")
    answer = normbench("claims", *TINY, *arguments)
    assert answer.code == 0
    return out, answer.document


def test_every_claim_has_a_figure_per_seed_and_a_verdict(claimed: tuple[Path, dict]) -> None:
    claims = claimed[1]["values"]["claims"]
    assert [claim["name"] for claim in claims] == [
        "faster convergence", "larger learning rates", "less sensitivity to initialisation", "regularization",
        "stable gradients",
    ]  # fmt: skip
    for claim in claims:
        assert {norm: len(values) for norm, values in claim["values"].items()} == {"none": 2, "bn": 2}
        assert claim["verdict"] in {"holds", "does not hold", "depends", "not shown"}
        assert claim["outcomes"].keys() == {"bn"}


def test_the_runs_are_ordinary_ones_that_leave_the_test_images_unread(claimed: tuple[Path, dict]) -> None:
    out, document = claimed
    runs = document["values"]["runs"]
    # Two norms at two rates, from two more initialisations each, and three regularizers; the recipe's is one of them.
    assert len(runs) == (2 * len(RATES) + 2 * (len(INITS) - 1) + 3) * 2
    assert len([path for path in run_folders(out) if path.name != "plots"]) == len(runs)
    assert all(run["test_accuracy"] is None for run in runs)
    assert {run["weight_decay"] for run in runs} == {0.0, 5e-4}


def test_the_tables_are_in_the_report(claimed: tuple[Path, dict]) -> None:
    page = (claimed[0] / "claims" / "report.html").read_text()
    assert all(
        words in page for words in ("Five claims", "Generalization gap", "Validation accuracy by initialisation")
    )


def test_parts_train_one_step_after_the_other_and_the_plain_command_shows_the_whole(
    claimed: tuple[Path, dict], tmp_path: Path
) -> None:
    arguments = ("claims", *TINY, "--norms", "bn", "--seeds", 2, "--rates", "0.05,0.5", "--gains", 1, "--out", tmp_path)

    def part(number: int) -> int:
        answer = normbench(*arguments, "--shard", f"{number}/2", "--json")
        assert answer.code == 0
        assert not list(tmp_path.glob("*/finding.json"))
        return len(answer.document["runs"])

    rates = 2 * len(RATES) * 2
    assert part(1) == rates // 2
    assert len(run_folders(tmp_path)) == rates // 2
    others = len(claimed[1]["values"]["runs"])
    assert part(2) == part(1) > rates // 2, "the last part of the first step goes on with the second one"
    assert len(run_folders(tmp_path)) == others
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")}
    whole = normbench(*arguments, "--json").document["values"]["claims"]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")} == times
    assert [claim["values"] for claim in whole] == [claim["values"] for claim in claimed[1]["values"]["claims"]]


RECIPE = Recipe.model_validate(
    {"norms": ("bn",), "seeds": 2, "network": {"dropout": 0.1}, "training": {"weight_decay": 1e-3},
     "norm": {"bn": {"lr": 0.1, "weight_decay": 1e-4}}}
)  # fmt: skip


def test_norms_are_measured_without_other_regularizers_and_these_without_norms() -> None:
    recipe = undecayed(RECIPE)
    for config in configs(rate_trials(("none", "bn"), RATES), recipe, 50_000):
        settings = (config.training.weight_decay, config.training.l1, config.network.dropout)
        assert settings + config.network.hidden_dropout == (0.0,) * 5
        assert (config.read_test, config.data.val_split > 0) == (False, True)
    others = configs(regularizer_trials(0.03), recipe, 50_000)[::2]
    assert [(c.norm, c.network.dropout, c.training.l1, c.training.weight_decay) for c in others] == [
        ("none", 0.2, 0.0, 0.0), ("none", 0.0, 1e-4, 0.0), ("none", 0.0, 0.0, 5e-4),
    ]  # fmt: skip


def test_every_initialisation_meets_every_gain_at_the_best_rate() -> None:
    trials = init_trials({"none": 0.03, "bn": 0.3}, (10.0, 0.1))
    found = configs(trials, undecayed(RECIPE), 50_000)[::2]
    assert [(c.norm, c.network.init, c.network.init_gain, c.training.lr) for c in found] == [
        (norm, init, gain, lr) for norm, lr in (("none", 0.03), ("bn", 0.3)) for init in INITS for gain in (0.1, 10.0)
    ]


def test_a_rate_is_tolerated_within_five_points_of_the_best_and_a_diverged_run_is_not() -> None:
    of_seed = {("rate", 0.01): 0.38, ("rate", 0.1): 0.42, ("rate", 1.0): 0.30, ("rate", 10.0): None}
    assert figures.tolerated(of_seed) == (("rate", 0.01), ("rate", 0.1))
    assert figures.largest_rate(of_seed) == pytest.approx(-1.0)
    assert figures.tolerated_share(of_seed) == 0.5
    near_chance = {("rate", 0.1): 0.12, ("rate", 1.0): 0.11}
    assert figures.largest_rate(near_chance) is None
    assert figures.tolerated_share(near_chance) == 0.0


def test_the_best_rate_is_that_of_the_mean_over_seeds() -> None:
    table = {"bn": {0: {("rate", 0.1): 0.5, ("rate", 1.0): 0.6}, 1: {("rate", 0.1): 0.5, ("rate", 1.0): None}}}
    assert figures.best_rates(table) == {"bn": 0.1}


def test_the_target_is_the_lowest_end_without_a_norm_and_the_gap_is_train_less_validation() -> None:
    ends = [make_result("none", seed, validation_accuracy=value) for seed, value in enumerate((0.4, 0.3))]
    assert figures.target_of(ends) == 0.3
    assert figures.gap(make_result("bn", train_accuracy=0.7, validation_accuracy=0.5)) == pytest.approx(0.2)
    assert figures.gap(make_result("bn", status="diverged")) is None


def test_the_gradient_of_the_first_layer_vanishes_with_depth_without_a_norm_and_not_with_one() -> None:
    none, bn = (figures.gradient_change(norm, 4, 0, torch.device("cpu")) for norm in ("none", "bn"))
    assert bn < 3
    assert none > 10


def claim(values: dict, *, higher: bool = False, costly: tuple[str, ...] = ()) -> Claim:
    table = {norm: dict(enumerate(of_norm)) for norm, of_norm in values.items()}
    pairs = compare_pairs([(norm, "none") for norm in table if norm != "none"], table)
    return Claim("regularization", "gap", higher, table, tuple(pairs), costly)


def test_the_verdict_follows_from_the_paired_tests() -> None:
    none, less, more, either = (0.30, 0.31, 0.32), (0.10, 0.112, 0.121), (0.50, 0.512, 0.521), (0.2, 0.5, 0.3)
    assert claim({"none": none, "bn": less}).verdict == "holds"
    assert claim({"none": none, "bn": more}).verdict == "does not hold"
    assert claim({"none": none, "bn": more}, higher=True).verdict == "holds"
    assert claim({"none": none, "bn": either}).verdict == "not shown"
    assert claim({"none": none, "bn": less, "gn": more}).verdict == "depends"
    assert claim({"none": none, "bn": less, "gn": more}).outcomes == {"bn": "yes", "gn": "no"}
    assert claim({"none": (3.0, 3.0, 3.0), "bn": (2.0, 2.0, 2.0)}).verdict == "holds"
    assert claim({"none": (3.0, 3.0), "bn": (2.0, 2.0)}).verdict == "not shown"
    assert claim({"none": (3.0,), "bn": (2.0,)}).verdict == "not shown"
    assert claim({"none": none, "bn": (0.1, None, 0.1)}).verdict == "not shown"


def test_a_smaller_gap_at_a_lower_accuracy_shows_nothing() -> None:
    assert claim({"none": (0.30, 0.31, 0.32), "bn": (0.10, 0.112, 0.121)}, costly=("bn",)).verdict == "not shown"


def test_the_notebook_trains_each_of_its_techniques_on_the_same_points(tmp_path: Path) -> None:
    assert [layer.out_features for layer in network() if hasattr(layer, "out_features")] == [64, 32, 1]
    techniques = {one.label: one for one in train_techniques((0, 1))}
    assert len(techniques) == len(RECIPES)
    plain, decayed, stepped = (
        techniques[name].losses for name in ("plain", "L2, decay 0.01", "StepLR(5, 0.1), lr 0.01")
    )
    assert plain[0].first == decayed[0].first == stepped[0].first
    assert plain[0].last < plain[0].first
    assert plain[0].last != decayed[0].last
    assert plain[0].first != plain[1].first
    answer = normbench("claims", "--notebook", "--device", "cpu", "--out", tmp_path, "--json")
    assert [one["name"] for one in answer.document["values"]["techniques"]] == list(techniques)
    assert (tmp_path / "claims-notebook" / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rates", "0.1"), ("rates",)),
        (("--gains", "0"), ("gains",)),
        (("--norms", "bm"), ("norm", "bn")),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(tmp_path: Path, arguments: tuple, words: tuple[str, ...]) -> None:
    refused(normbench("claims", *TINY, "--out", tmp_path, *arguments), USAGE, *words)
