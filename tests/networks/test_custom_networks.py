"""Custom networks: `file.py:factory` with `(norm, classes) -> nn.Module`, checked and kept like custom norms."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.cli import TINY, compare, normbench, refused, run_folders, train
from helpers.small import run_config
from torch import nn

import normbench as nb
from normbench.config import NetworkConfig, RunConfig, TrainingConfig
from normbench.engine.trial import try_out
from normbench.errors import USAGE, UsageError
from normbench.networks import build, count_parameters, network_code, norm_parameters
from normbench.norms import NORMS, Norm
from normbench.training.optimizer import decayed

FILE = Path(__file__).parents[1] / "helpers" / "user_networks.py"
TRAINED = TINY[:-2]  # without the widths of c10


def name(factory: str) -> str:
    return f"{FILE}:{factory}"


def network(factory: str = "Tiny", norm: str = "bn", seed: int = 0) -> nn.Module:
    return build(NetworkConfig(name=name(factory)), Norm.parse(norm), seed=seed)


def config(factory: str, norm: str = "bn") -> RunConfig:
    return run_config(norm).model_copy(update={"network": NetworkConfig(name=name(factory))})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Current folder, with a network that leaves a mark when it is imported."""
    folder = tmp_path / "home"
    folder.mkdir()
    mark = "from pathlib import Path\n(Path(__file__).parent / 'imported').touch()\n"
    (folder / "net.py").write_text(mark + FILE.read_text())
    monkeypatch.chdir(folder)
    return folder


def train_here(*arguments: object):
    return normbench("train", *TRAINED, "--norm", "gn", "--network", "net.py:Tiny", *arguments)


# Built with any norm.


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_every_norm_goes_into_it(norm):
    logits = network(norm=norm)(torch.zeros(2, 3, 32, 32))
    assert logits.shape == (2, 10)


def test_weights_are_those_of_the_factory_from_the_seed_whatever_the_norm():
    first, other, reseeded = network(), network(norm="in"), network(seed=1)
    assert torch.equal(first.conv2.weight, other.conv2.weight)
    assert not torch.equal(first.conv2.weight, reseeded.conv2.weight)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    network()
    assert torch.equal(before, torch.get_rng_state())


def test_scale_and_shift_are_attributes_of_the_layer():
    assert network("zero_scale").norm.weight.abs().sum() == 0


def test_norms_are_exempt_from_weight_decay_where_a_recipe_says_so():
    built = network()
    _, exempt = decayed(built, TrainingConfig(decay_norms=False))
    assert {id(p) for p in exempt} == {id(p) for layer in (built.bn1, built.norm) for p in layer.parameters()}
    assert len(norm_parameters(built)) == 4


def test_norms_compute_in_float32_under_mixed_precision():
    built = network("autocast_dtype")
    with torch.autocast("cpu", torch.bfloat16):
        logits = built(torch.zeros(2, 3, 32, 32))
    assert set(built.types) == {torch.float32}
    assert logits.dtype == torch.bfloat16


# Refused in words.


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("five_classes", r"gives torch.float32 of shape \(2, 5\) for 2 images, not logits of shape \(2, 10\)"),
        ("pair", "gives tuple for 2 images"),
        ("other_size", "with norm 'bn' fails: RuntimeError"),
        ("nothing_to_train", "without a parameter to train"),
        ("fails", r"factory\(norm, 10\) failed: ValueError: not today"),
        ("text", "returned str, not a module"),
        ("one_argument", "failed: TypeError"),
    ],
)
def test_a_factory_that_makes_no_network_is_refused(factory, words):
    with pytest.raises(UsageError, match=words) as error:
        network(factory)
    assert "(N, 3, 32, 32) to (N, classes)" in error.value.hint


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("net.py:Tinny", ("nothing called 'Tinny'", "Did you mean 'Tiny'?")),
        ("nte.py:Tiny", ("does not exist", "Did you mean net.py?")),
        ("net.py", ("names no factory", "net.py:Tiny")),
        ("net.py:Tiny(depth=3)", ("not of the form", "takes no arguments")),
        ("c10(depth=3)", ("c10 takes no arguments",)),
        ("c11", ("Did you mean 'c10'?",)),
        ("net.py:", ("not of the form",)),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(home, spec, words):
    for command in (["train", "--norm", "bn", *TRAINED], ["summary"]):
        refused(normbench(*command, "--network", spec), USAGE, *words)
    assert not (home / "runs").exists()


@pytest.mark.parametrize("setting", ["widths=[8]", "dropout=0.1", "activation=gelu", "init=torch"])
def test_settings_of_other_networks_are_refused(home, setting):
    answer = train_here("--set", f"network.{setting}")
    refused(answer, USAGE, setting.partition("=")[0], "not apply to a custom network")


def test_a_recipe_may_name_it_and_no_other_setting_of_a_network(home):
    (home / "own.toml").write_text('norms = ["gn"]\n[network]\nname = "net.py:Tiny"\n')
    document = normbench("summary", "--config", "own.toml", "--json").document
    assert document["network"] == "net.py:Tiny"
    (home / "own.toml").write_text('[network]\nname = "net.py:Tiny"\nblock = "separable"\n')
    refused(normbench("summary", "--config", "own.toml"), USAGE, "own.toml", "block does not apply")


def test_a_network_over_the_budget_is_refused(home):
    refused(train_here("--network", "net.py:large"), USAGE, "308,310 parameters", "--max-params 308311")


def test_a_network_that_a_state_dict_does_not_hold_is_refused(home):
    refused(train_here("--network", "net.py:Counting"), USAGE, "network 'net.py:Counting'", "Counting.steps")
    refused(train_here("--network", "net.py:cached"), USAGE, "network 'net.py:cached' shares tensors")
    assert not (home / "runs").exists()


@pytest.mark.parametrize(
    ("factory", "norm", "words"),
    [
        ("without_norm", "gn", ["has no layer of norm.make"]),
        ("batch_norm_only", "gn", ["has no layer of norm.make"]),
        ("mixed", "gn", ["BatchNorm2d is not of norm.make"]),
        ("mixed", "gn+ws", ["BatchNorm2d is not of norm.make", "+ws has no effect"]),
        ("Tiny", "bn+ws", []),
        ("Drawing", "bn", []),
    ],
)
def test_a_network_that_ignores_the_norm_is_said_to(factory, norm, words):
    warnings = try_out(config(factory, norm)).warnings
    assert len(warnings) == len(words)
    for warning, sentence in zip(warnings, words, strict=True):
        assert sentence in warning


def test_a_package_gives_a_network_too(home, monkeypatch):
    package = home / "elsewhere" / "normbench_test_networks"
    package.mkdir(parents=True)
    shutil.copy(FILE, package / "nets.py")
    monkeypatch.syspath_prepend(str(package.parent))
    built = build(NetworkConfig(name="normbench_test_networks.nets:Tiny"), Norm.parse("gn"))
    assert count_parameters(built) == count_parameters(network())
    assert set(network_code("normbench_test_networks.nets:Tiny").files) == {"normbench_test_networks/nets.py"}


# Every command.


def test_its_code_is_part_of_the_run_and_kept_with_it(home):
    first = train_here("--json").document["run"]
    assert first["network"] == "net.py:Tiny"
    folder = Path(first["folder"])
    settings = json.loads((folder / "config.json").read_text())
    assert settings["network_source"] == network_code("net.py:Tiny").digest
    assert (folder / "network-code" / "net.py").read_text() == (home / "net.py").read_text()
    assert not (folder / "code").exists()
    (home / "net.py").write_text((home / "net.py").read_text().replace("stride=2", "stride=1"))
    other = train_here("--json").document["run"]
    assert other["fingerprint"] != first["fingerprint"]
    assert other["train_loss"] != first["train_loss"]


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_no_run_folder_decides_what_is_imported(home, command):
    assert train_here().code == 0
    (run,) = run_folders(home / "runs")
    (home / "imported").unlink()
    refused(normbench(command, run), USAGE, "custom network", "unchanged", "--network net.py:Tiny", "--trust")
    for other in (["report", run.parent.name], ["runs"], ["runs", "show", run], ["runs", "diff", run, run]):
        assert normbench(*other).code == 0
    assert not (home / "imported").exists()
    refused(normbench(command, run, "--network", "c10"), USAGE, "this run is of the network net.py:Tiny")
    for flags in (["--network", "net.py:Tiny"], ["--trust"]):
        assert normbench(command, run, *flags).code == 0


def test_the_code_in_the_folder_is_enough_to_trust(home):
    assert train_here().code == 0
    (run,) = run_folders(home / "runs")
    (home / "net.py").write_text("raise SystemExit('another file')\n")
    refused(normbench("evaluate", run), USAGE, "net.py changed since", "--trust")
    document = normbench("evaluate", run, "--trust", "--json").document
    assert document["agrees"] is True
    (run / "network-code" / "net.py").write_text("raise SystemExit('edited')\n")
    (home / "net.py").write_text("raise SystemExit('the file that the run folder names')\n")
    refused(normbench("evaluate", run, "--trust"), USAGE, "network-code", "edited", "none to trust")


def test_custom_norm_and_custom_network_need_both_names(home):
    shutil.copy(FILE.with_name("user_norms.py"), home / "norm.py")
    norm = "norm.py:group_norm_1"
    assert train_here("--norm", norm).code == 0
    (run,) = run_folders(home / "runs")
    refused(normbench("evaluate", run), USAGE, f"--norm {norm} --network net.py:Tiny")
    refused(normbench("evaluate", run, "--norm", norm), USAGE, "--network net.py:Tiny")
    flags = ["--norm", norm, "--network", "net.py:Tiny"]
    assert normbench("evaluate", run, *flags, "--json").document["agrees"] is True
    assert normbench("runs", "clean", "--yes").code == 0


def test_an_interrupted_run_leaves_nothing_behind_when_it_is_cleaned(home):
    assert train_here().code == 0
    (run,) = run_folders(home / "runs")
    (run / "result.json").unlink()
    assert normbench("runs", "clean", "--yes").code == 0
    assert not run.exists()


def test_norms_are_compared_on_it_and_reported(home):
    answer = normbench("compare", *TRAINED, "--norms", "bn,gn,none", "--network", "net.py:Tiny", "--json")
    document = answer.document
    assert [row["norm"] for row in document["rows"]] == ["bn", "gn", "none"]
    assert {run["network"] for run in document["runs"]} == {"net.py:Tiny"}
    page = normbench("report", "baseline").stdout
    assert "report.html" in page
    assert "net.py:Tiny" in (home / "runs" / "baseline" / "report.html").read_text()


def test_runs_of_other_code_are_not_in_the_table(home):
    flags = ("--norms", "bn,gn", "--network", "net.py:Tiny", "--json")
    compare_here = lambda *more: normbench("compare", *TRAINED, *flags, *more).document  # noqa: E731
    assert len(compare_here()["runs"]) == 2
    (home / "net.py").write_text((home / "net.py").read_text().replace("stride=2", "stride=1"))
    document = compare_here("--seeds", 1, "--norms", "bn,in")
    assert sorted(run["norm"] for run in document["runs"]) == ["bn", "in"]


def test_summary_counts_its_layers(home):
    document = normbench("summary", "--network", "net.py:Tiny", "--norm", "bn", "--json").document
    rows = {row["name"]: row for row in document["rows"]}
    assert {name for name, row in rows.items() if row["is_norm"]} == {"bn1.norm", "norm.norm"}
    assert rows["bn1.norm"]["kind"] == "BatchNorm2d"
    assert document["parameters"] == 3 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 10 + 10
    assert document["norm_parameters"] == 2 * 8 + 2 * 16
    assert rows["conv1"]["macs"] == 16 * 16 * 8 * 3 * 9
    assert rows["conv1"]["receptive_field"] is None  # pools may be functions, which no module tells of


def test_norms_are_ranked_on_it_beside_a_built_in_network(home):
    flags = ("--norms", "bn,gn,none", "--seeds", 2, "--dataset", "digits", "--subset", 64, "--epochs", 1)
    small = ("--batch-sizes", 32, "--networks")
    document = normbench("rank", *flags, *small, "net.py:Tiny,dwnet", "--json").document
    assert "net.py:Tiny" in json.dumps(document["tables"])
    refused(normbench("rank", *flags, *small, "net.py:Tinny"), USAGE, "Did you mean 'Tiny'?")


def test_its_cost_is_measured(home):
    answer = normbench("cost", "--norms", "bn", "--network", "net.py:Tiny", "--repeats", 1, "--batch-size", 4, "--json")
    assert answer.code == 0


# Python.


def test_a_class_is_a_network_in_python(home):
    from helpers.user_networks import Tiny

    summary = nb.summary("bn", network=Tiny)
    assert summary.parameters == count_parameters(network())
    settings = {"dataset": "digits", "subset": 256, "epochs": 1, "batch_size": 64}
    result = nb.train("gn", network=Tiny, **settings)
    assert result.network == name("Tiny")
    with pytest.raises(UsageError, match="no run folder decides"):
        nb.load(result.folder)
    loaded = nb.load(result.folder, network=Tiny)
    assert isinstance(loaded.network, Tiny)
    compared = nb.compare(["bn", "gn"], network=Tiny, **settings)
    assert [row["norm"] for row in compared.to_dicts()] == ["bn", "gn"]
    with pytest.raises(UsageError, match="not at the top level"):
        nb.summary("bn", network=lambda norm, classes: Tiny(norm, classes))  # noqa: PLW0108


def test_built_in_networks_keep_their_fingerprints(tmp_path):
    assert train(tmp_path, "--norm", "gn").code == 0
    assert compare(tmp_path, "--norms", "gn").code == 0
    assert "network_source" not in json.dumps(RunConfig(norm="gn").model_dump(exclude_defaults=True))
