"""Python API: lazy, named apart from the subpackages, equal to the commands, and its examples run."""

import doctest
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.cli import SMALL, compare, normbench, train
from torch import nn

import normbench as nb
from normbench import api
from normbench.errors import RunFailedError, UsageError

TINY = {"dataset": "digits", "subset": 256, "epochs": 1, "batch_size": 64}
WIDTHS = {"network.widths": [8] * 10}
FLEETING = {"seconds", "images_per_second", "evaluation_seconds", "folder", "device", "side_by_side"}


class Scale(nn.Module):
    """A norm that a researcher brings: one scale per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def lasting(result: dict) -> dict:
    return {key: value for key, value in result.items() if key not in FLEETING}


def test_importing_normbench_imports_no_torch():
    code = "import normbench, sys; assert 'torch' not in sys.modules; assert normbench.train and 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_name_of_the_api_is_a_subpackage_with_all_of_them_imported():
    for module in pkgutil.walk_packages(nb.__path__, "normbench."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in nb.__all__:
        assert getattr(nb, name) is getattr(api, name)
        assert not inspect.ismodule(getattr(nb, name))
    assert sorted(nb.__all__) == sorted(api.__all__)


@pytest.mark.parametrize("name", ["train", "compare", "tune", "norm", "summary", "swap"])
def test_the_example_of_the_docstring_runs(name, tmp_path):
    tests = doctest.DocTestFinder().find(getattr(nb, name), globs={"tmp": tmp_path})
    assert [len(test.examples) > 1 for test in tests] == [True]
    assert doctest.DocTestRunner().run(tests[0]).failed == 0


def test_train_gives_the_result_of_the_command(tmp_path):
    result = nb.train("gn", **TINY, settings=WIDTHS, out=tmp_path / "api")
    answer = train(tmp_path / "cli", "--norm", "gn", "--json")
    assert lasting(result.model_dump(mode="json")) == lasting(answer.document["run"])


def test_compare_gives_the_rows_of_the_command_and_shows_them_everywhere(tmp_path):
    comparison = nb.compare(["bn", "gn"], seeds=2, **TINY, settings=WIDTHS, out=tmp_path / "api")
    document = compare(tmp_path / "cli", "--norms", "bn,gn", "--seeds", "2", "--json").document
    assert [row["test_accuracy"] for row in comparison.to_dicts()] == [row["test_accuracy"] for row in document["rows"]]
    assert "| bn |" in repr(comparison)
    assert "<table" in comparison._repr_html_()
    assert r"\begin{tabular}" in comparison.latex()
    (axes,) = comparison.plot().axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bn", "gn"]
    assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in ("o", "s")) == 4
    assert comparison.report().is_file()


def test_tune_finds_the_settings_of_the_command_and_compare_takes_its_recipe(tmp_path):
    tiny = {**TINY, "subset": 64, "settings": WIDTHS}
    found = nb.tune(
        ["bn", "gn"], trials=2, sampler="sobol", space={"lr": {"low": 0.05, "high": 0.2}}, **tiny, out=tmp_path / "api"
    )
    flags = ("--trials", 2, "--set", "search.lr.low=0.05", "--set", "search.lr.high=0.2", "--set", SMALL)
    tiny_flags = ("--dataset", "digits", "--subset", 64, "--epochs", 1, "--batch-size", 64, "--norms", "bn,gn")
    values = normbench("tune", *tiny_flags, *flags, "--out", tmp_path / "cli", "--json").document["values"]
    scores = [[run["validation_accuracy"] for run in trial["runs"]] for trial in found.to_dicts()]
    trials = [trial for of_norm in values["trials"].values() for trial in of_norm]
    assert scores == [[run["validation_accuracy"] for run in trial["runs"]] for trial in trials]
    assert found.best == {norm: trial["settings"] for norm, trial in values["best"].items()}
    assert "| bn |" in repr(found)
    assert "<table" in found._repr_html_()
    assert r"\begin{tabular}" in found.latex()
    comparison = nb.compare(recipe=str(found.recipe), out=tmp_path / "api")
    assert {run.norm: run.lr for run in comparison.results} == {norm: best["lr"] for norm, best in found.best.items()}
    assert all(run.tuned for run in comparison.results)


def test_a_class_is_a_norm_and_a_registered_name_stands_for_it(tmp_path):
    comparison = nb.compare(["bn", Scale], **TINY, settings=WIDTHS, out=tmp_path)
    assert [result.status for result in comparison.results] == ["done", "done"]
    nb.register_norm("scale-of-mine", Scale)
    again = nb.train("scale-of-mine", **TINY, settings=WIDTHS, out=tmp_path)
    assert again.folder == comparison.results[1].folder
    config = json.loads((Path(again.folder) / "config.json").read_text())
    assert config["norm"].endswith("test_api.py:Scale")
    assert config["norm_source"]


def test_a_norm_without_a_file_or_below_the_top_level_is_refused():
    class Inner(Scale):
        pass

    with pytest.raises(UsageError, match="top level"):
        nb.train(Inner)
    with pytest.raises(UsageError, match="no file"):
        nb.train(type("Made", (nn.Module,), {"__module__": "nowhere"}))
    for name in ("bn", "two words", ""):
        with pytest.raises(UsageError):
            nb.register_norm(name, Scale)


def test_load_gives_the_network_with_the_accuracy_that_the_run_recorded(tmp_path):
    result = nb.train("bn", **TINY, settings=WIDTHS, out=tmp_path)
    run = nb.load(result.folder)
    assert run.result == result
    assert not run.network.training
    assert run.network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(UsageError):
        nb.load("nowhere", out=tmp_path)


def test_load_runs_the_code_of_a_custom_norm_only_where_it_is_named(tmp_path):
    result = nb.train(Scale, **TINY, settings=WIDTHS, out=tmp_path)
    with pytest.raises(UsageError, match="custom norm"):
        nb.load(result.folder)
    assert isinstance(nb.load(result.folder, norm=Scale).network.C1.norm, nn.Module)


def model() -> nn.Sequential:
    inner = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), inner)


def test_swap_replaces_every_norm_and_carries_over_what_agrees():
    network = model()
    with torch.no_grad():
        network[1].weight.fill_(2.0)
    swapped = nb.swap(network, "gn", groups=2)
    assert [(layer.name, layer.channels, layer.carried) for layer in swapped] == [
        ("1", 8, ("weight", "bias")),
        ("2.1", 16, ("weight", "bias")),
    ]
    assert isinstance(network[1], nn.GroupNorm)
    assert network[1].weight.eq(2.0).all()
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 16, 12, 12)


def test_swap_keeps_running_statistics_between_batch_norms_mode_and_dtype():
    network = model().double().eval()
    network[1].running_mean.fill_(3.0)
    nb.swap(network, "bn")
    assert network[1].running_mean.eq(3.0).all()
    assert network[1].weight.dtype == torch.float64
    assert not network[1].training


@pytest.mark.parametrize(
    ("network", "norm", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3)), "gn", "no norm layer"),
        (nn.Sequential(nn.BatchNorm2d(8), nn.LayerNorm(8)), "gn", "1 (LayerNorm)"),
        (nn.Sequential(nn.BatchNorm2d(8), nn.LocalResponseNorm(5)), "gn", "LocalResponseNorm"),
        (nn.Sequential(nn.LazyBatchNorm2d()), "gn", "lazy"),
        (nn.BatchNorm2d(8), "gn", "itself"),
        (nn.Sequential(nn.BatchNorm2d(8)), "gn+ws", "+ws"),
        (nn.Sequential(nn.BatchNorm2d(6)), "gn", "do not divide"),
    ],
)
def test_swap_refuses_in_words_and_changes_nothing(network, norm, words):
    before = [type(module) for module in network.modules()]
    with pytest.raises(UsageError) as refused:
        nb.swap(network, norm)
    assert words in str(refused.value)
    assert [type(module) for module in network.modules()] == before


def test_a_study_and_verify_give_results_with_tables(tmp_path):
    result = nb.verify("bn", out=tmp_path)
    assert result.values["passed"]
    assert result.tables
    with pytest.raises(UsageError, match="study"):
        nb.study("depht")


def test_nothing_is_printed(tmp_path, capsys):
    nb.train("bn", **TINY, settings=WIDTHS, out=tmp_path)
    nb.summary("gn")
    assert capsys.readouterr() == ("", "")


def test_a_damaged_run_is_said_in_words(tmp_path):
    result = nb.train("bn", **TINY, settings=WIDTHS, out=tmp_path)
    (Path(result.folder) / "config.json").write_text("{")
    with pytest.raises(RunFailedError, match="damaged"):
        nb.load(result.folder)
