"""`normbench rank`: norms over networks and seeds, named holes, and runs that diverge, fail or are searched."""

from pathlib import Path

import pytest
import torch
from helpers.cli import SMALL, Answer, normbench, refused, run_folders
from helpers.results import make_result

from normbench.config import Recipe
from normbench.errors import SOME_RUNS_FAILED, USAGE
from normbench.studies.rank.measure import Measurement, complete_table, rank
from normbench.studies.rank.runs import Task, candidates, found_rates, group_holes, ranked_configs, search_configs
from normbench.studies.rank.sentences import conclusions
from normbench.studies.rank.settings import RankSettings

TINY = ("--dataset", "digits", "--subset", 128, "--epochs", 1, "--set", SMALL)


def run_rank(out: Path, *arguments: object) -> Answer:
    return normbench("rank", *TINY, "--out", out, *arguments)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Three norms in two networks, with a norm that breaks the budget and a network that none fits in."""
    out = tmp_path_factory.mktemp("ranked")
    arguments = ("--norms", "bn,gn,none,ln-chw", "--networks", "c10,dwnet,lnet", "--seeds", 2, "--json")
    answer = run_rank(out, *arguments)
    assert answer.code == 0
    return out, answer.document


def test_every_norm_is_trained_in_every_network_with_every_seed(ranked: tuple[Path, dict]) -> None:
    out, document = ranked
    runs = [(run["network"], run["norm"], run["seed"]) for run in document["values"]["runs"]]
    assert runs == [
        (network, norm, seed) for network in ("c10", "dwnet") for norm in ("bn", "gn", "none") for seed in (0, 1)
    ]
    assert len([path for path in run_folders(out) if path.name != "plots"]) == len(runs)
    ranks = document["values"]["ranks"]
    assert sorted(ranks["names"]) == ["bn", "gn", "none"]
    assert (ranks["blocks"], sum(ranks["ranks"])) == (4, pytest.approx(6))


def test_a_hole_is_named_with_its_reason_and_is_no_error(ranked: tuple[Path, dict]) -> None:
    holes = {(hole["norm"], hole["network"]): hole["reason"] for hole in ranked[1]["values"]["holes"]}
    assert {(norm, "lnet") for norm in ("bn", "gn", "none", "ln-chw")} <= holes.keys()
    assert "over the budget" in holes["ln-chw", "c10"]
    assert ("bn", "c10") not in holes


def test_the_diagram_and_the_tables_are_in_the_report(ranked: tuple[Path, dict]) -> None:
    folder = ranked[0] / "rank"
    assert {path.stem for path in (folder / "plots").glob("*.svg")} == {"chart-ranks", "chart-accuracy"}
    page = (folder / "report.html").read_text()
    assert "Average ranks" in page and "Norms without a run" in page
    assert "critical difference" in (folder / "plots" / "chart-ranks.svg").read_text()


def test_a_second_time_nothing_is_trained_and_the_means_can_be_ranked_instead(ranked: tuple[Path, dict]) -> None:
    out, document = ranked
    arguments = ("--norms", "bn,gn,none", "--networks", "c10,dwnet", "--seeds", 2, "--blocks", "networks")
    again = run_rank(out, *arguments, "--json")
    assert again.stderr.count("already done") == len(document["values"]["runs"])
    assert again.document["values"]["ranks"]["blocks"] == 2
    assert run_rank(out, *arguments, "-q").stdout.split()[1] == f"{again.document['values']['ranks']['ranks'][0]:.2f}"


def test_what_is_finished_is_ranked_without_training_the_rest(ranked: tuple[Path, dict]) -> None:
    arguments = ("--norms", "bn,gn,none", "--networks", "c10,dwnet", "--seeds", 3, "--finished", "--json")
    values = run_rank(ranked[0], *arguments).document["values"]
    assert len(values["runs"]) == len(ranked[1]["values"]["runs"])
    assert values["ranks"] == ranked[1]["values"]["ranks"]
    assert [(block["network"], block["seed"], block["missing"]) for block in values["excluded"]["blocks"]] == [
        (network, 2, ["bn", "gn", "none"]) for network in ("c10", "dwnet")
    ]


def test_nothing_finished_is_refused(tmp_path: Path) -> None:
    refused(run_rank(tmp_path, "--norms", "bn,gn", "--networks", "c10", "--finished"), USAGE, "no run is finished")


def test_a_custom_network_is_ranked_beside_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def Mine(norm, classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), norm.make(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(8, classes))\n"
    )
    mine = f"{tmp_path}/mine.py:Mine"
    answer = run_rank(tmp_path, "--norms", "bn,gn", "--networks", f"c10,{mine}", "--seeds", 1, "--json")
    assert answer.document["values"]["ranks"]["blocks"] == 2
    assert {run["network"] for run in answer.document["values"]["runs"]} == {"c10", mine}


def test_a_diverged_run_is_the_worst_of_its_block(tmp_path: Path) -> None:
    arguments = ("--norms", "bn,none", "--networks", "c10", "--seeds", 2, "--set", "norm.none.lr=1e20")
    answer = run_rank(tmp_path, *arguments, "--json")
    assert answer.code == SOME_RUNS_FAILED
    values = answer.document["values"]
    assert (values["ranks"]["names"], values["ranks"]["ranks"]) == (["bn", "none"], [1.0, 2.0])
    assert [row["diverged"] for row in values["rows"]] == [0, 2]


def test_every_norm_is_searched_with_the_same_rates_on_images_held_out(tmp_path: Path) -> None:
    arguments = ("--norms", "bn,gn", "--networks", "dwnet", "--seeds", 2, "--rates", "0.01,0.1", "--json")
    answer = run_rank(tmp_path, *arguments)
    search = [path for path in run_folders(tmp_path) if path.parent.name == "rank-search"]
    assert len(search) == 4
    assert all("-s2-" in path.name for path in search)
    rows = answer.document["values"]["rows"]
    assert {row["lr"] for row in rows} <= {0.01, 0.1}
    assert all(row["tuned"] for row in rows)
    assert all(run["test_accuracy"] is not None for run in answer.document["values"]["runs"])
    assert any("edge of the rates" in sentence for sentence in answer.document["conclusions"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--networks", "c11"), ("network", "c10")),
        (("--rates", "0.1"), ("rates",)),
        (("--blocks", "seeds"), ("blocks", "networks")),
        (("--networks", "lnet", "--norms", "bn"), ("no norm can be ranked", "over the budget")),
        (("--margin", "0"), ("margin",)),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(tmp_path: Path, arguments: tuple, words: tuple[str, ...]) -> None:
    refused(run_rank(tmp_path, *arguments), USAGE, *words)


A, B, C = Task("a", 32), Task("b", 32), Task("c", 32)


def test_norms_and_networks_are_left_out_until_no_hole_is_left() -> None:
    assert complete_table([A, B, C], ["x", "y"], set()) == ([A, B, C], ["x", "y"])
    assert complete_table([A, B, C], ["x", "y", "z"], {(A, "z"), (B, "z")}) == ([A, B, C], ["x", "y"])
    only_x = {(C, "y"), (C, "z")}
    assert complete_table([A, B, C], ["x", "y", "z"], only_x) == ([A, B], ["x", "y", "z"])


RECIPE = Recipe.model_validate(
    {"norms": ("bn", "gn"), "training": {"batch_size": 64, "lr": 0.2}, "norm": {"gn": {"lr": 0.04}},
     "network": {"widths": (8,) * 10}}
)  # fmt: skip


def test_another_network_takes_neither_the_widths_nor_the_mark_of_the_search() -> None:
    moved = RECIPE.in_network("dwnet")
    assert (moved.network.widths, moved.run("gn", 0).tuned, moved.run("gn", 0).training.lr) == (None, False, 0.04)
    assert RECIPE.in_network("c10") is RECIPE
    assert RECIPE.run("gn", 0).tuned


def test_holes_of_one_reason_are_named_together() -> None:
    budget = "{} with {} has {} parameters, {} over the budget of fewer than 50,000"
    holes = {
        (Task("lnet", 128), "bn"): budget.format("lnet", "bn", "73,770", "23,771"),
        (Task("lnet", 32), "bn"): budget.format("lnet", "bn", "73,770", "23,771"),
        (Task("lnet", 128), "in"): budget.format("lnet", "in", "73,770", "23,771"),
        (Task("lnet", 128), "ln-chw"): budget.format("lnet", "ln-chw", "202,058", "152,059"),
        (Task("c10", 128), "ln-chw"): budget.format("c10", "ln-chw", "245,386", "195,387"),
        (Task("mlp", 128), "in"): "in has no meaning on vectors of 128 channels",
        (Task("vit", 128), "in"): "in has no meaning on vectors of 32 channels",
    }
    groups = group_holes(holes)
    assert [(hole.norms, hole.networks) for hole in groups] == [
        (("bn", "in"), ("lnet",)), (("ln-chw",), ("lnet", "c10")), (("in",), ("mlp", "vit")),
    ]  # fmt: skip
    assert groups[0].text == holes[Task("lnet", 128), "bn"] + "; the others likewise"
    assert group_holes({(Task("mlp", 1), "in"): "no meaning"})[0].text == "no meaning"


def test_rates_follow_the_batch_and_a_search_decides_by_validation_accuracy() -> None:
    chosen, holes = candidates({"c10": RECIPE}, (32,), 50_000)
    assert not holes
    assert [config.training.lr for config in ranked_configs(chosen, (0,), None)] == [0.1, 0.02]
    configs = search_configs(chosen, (0.3, 0.1), 7)
    assert all(config.data.val_split and not config.read_test and config.seed == 7 for config in configs)
    scores = iter([0.2, 0.5, None, 0.1])
    results = [
        make_result(
            config.norm, 7, status="done" if score else "diverged", validation_accuracy=score, lr=config.training.lr
        )
        for config, score in zip(configs, scores, strict=True)
    ]
    rates = found_rates(chosen, configs, results)
    assert [config.training.lr for config in ranked_configs(chosen, (0,), rates)] == [0.3, 0.3]


def test_a_block_that_lacks_a_run_does_not_count_and_is_said() -> None:
    chosen, _ = candidates({"c10": RECIPE}, (32,), 50_000)
    configs = ranked_configs(chosen, (0, 1, 2), None)
    accuracies = iter([0.5, 0.6, 0.7, 0.4, None, 0.8])
    results = [
        make_result(config.norm, config.seed, value, status="failed" if value is None else "done", network="c10")
        for config, value in zip(configs, accuracies, strict=True)
    ]
    settings = RankSettings()
    by_task, ranks, excluded = rank(configs, results, {}, settings, configs)
    assert (ranks.blocks, ranks.ranks) == (2, (1.5, 1.5))
    assert excluded.blocks == ((Task("c10", 32), 1, ("gn",)),)
    cpu = torch.device("cpu")
    measurement = Measurement(by_task, {}, ranks, excluded, settings, RECIPE, {"c10": "rank"}, cpu)
    assert any("c10 seed 1 (no run of gn)" in sentence for sentence in conclusions(measurement))
