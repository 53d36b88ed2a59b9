"""The commands that train nothing: summary, norms, recipes, data and env."""

import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.cli import Answer, normbench, refused
from torch import nn

from normbench.config import PARAMETER_BUDGET
from normbench.errors import DATA_UNAVAILABLE, RUN_FAILED, USAGE
from normbench.norms import NORMS, NormInfo

BATCH_FILES = {*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"}


def summary(*arguments: object, **variables: str) -> Answer:
    answer = normbench("summary", *arguments, **variables)
    assert answer.code == 0
    return answer


def test_summary_shows_layers_size_and_budget_within_ten_seconds() -> None:
    began = time.monotonic()
    said = summary("--norm", "bn").words
    assert time.monotonic() - began < 10
    for word in ("C1.conv", "c3.norm", "BatchNorm2d", "P1", "GAP", "C10", "MACs", "receptive field", "buffer values"):
        assert word in said
    assert "Within the budget of fewer than 50,000 parameters" in said


@pytest.mark.parametrize("width", ["80", "120"])
def test_summary_is_one_table_with_a_row_per_layer_that_does_something(width: str) -> None:
    answer = summary("--norm", "gn", COLUMNS=width, FORCE_COLOR="1")
    lines = re.sub("\x1b\\[[0-9;]*m", "", answer.stdout).splitlines()
    assert max(map(len, lines)) <= int(width)
    header = next(line for line in lines if line.startswith("layer"))
    assert header.split() == ["layer", "output", "parameters", "MACs", "receptive", "field"]
    document = summary("--norm", "gn", "--json").document
    total = next(line for line in lines if line.startswith("total"))
    table = lines[lines.index(header) + 2 : lines.index(total)]
    shown = [line.split()[0] for line in table if line.strip()]
    assert shown == [row["name"] for row in document["rows"] if not row["name"].endswith(".act")]
    assert total.split()[1:] == [f"{document['parameters']:,}", f"{document['macs']:,}"]


def test_the_tree_of_torchinfo_is_printed_when_it_is_asked_for() -> None:
    assert "Layer (type" not in summary("--norm", "bn").stdout
    assert "Layer (type" in summary("--norm", "bn", "--torchinfo").stdout
    assert "BatchNorm2d: 2-2" in summary("--norm", "bn", "--torchinfo", "--json").document["torchinfo"]
    refused(normbench("summary", "--all", "--torchinfo"), USAGE, "--torchinfo shows one network")


def test_summary_adds_up() -> None:
    document = summary("--norm", "bn", "--json").document
    rows = document["rows"]
    assert document["parameters"] == sum(row["parameters"] for row in rows) < PARAMETER_BUDGET
    assert document["macs"] == sum(row["macs"] for row in rows)
    norms = [row for row in rows if row["is_norm"]]
    assert document["norm_parameters"] == sum(2 * row["output"][0] for row in norms)  # gamma and beta a channel
    assert document["norm_buffers"] == sum(2 * row["output"][0] + 1 for row in norms)  # mean, variance, and a count


def test_summary_follows_the_receptive_field_and_the_macs_by_hand() -> None:
    rows = {row["name"]: row for row in summary("--norm", "none", "--json").document["rows"]}
    fields = {name: rows[name]["receptive_field"] for name in ("C1.conv", "C2.conv", "c3.conv", "P1", "C3.conv")}
    assert fields == {"C1.conv": 3, "C2.conv": 5, "c3.conv": 5, "P1": 6, "C3.conv": 10}
    channels, side, _ = rows["C1.conv"]["output"]
    assert rows["C1.conv"]["macs"] == 3 * 9 * channels * side * side


def test_quiet_summary_is_the_number_of_parameters() -> None:
    document = summary("--norm", "ln", "--json").document
    assert summary("--norm", "ln", "-q").stdout == f"{document['parameters']}\n"


def test_summary_says_when_statistics_reach_beyond_the_receptive_field() -> None:
    assert "While training, this norm's statistics" in summary("--norm", "bn").words
    assert "make every output depend on every pixel, too" in summary("--norm", "gn").words
    assert "statistics" not in summary("--norm", "ln-c").words


def test_a_norm_without_a_meaning_in_the_network_is_refused_or_left_out() -> None:
    refused = normbench("summary", "--network", "mlp", "--norm", "in", "--json")
    assert (refused.code, "no meaning on vectors" in refused.document["error"]["message"]) == (2, True)
    every = summary("--network", "mlp", "--every", "--json")
    assert "in" not in {one["norm"] for one in every.document["networks"]}
    assert "left out: in has no meaning" in " ".join(every.stderr.split())


@pytest.mark.parametrize("arguments", [["--network", "lnet"], ["--norm", "ln-chw"], ["--max-params", 10_000]])
def test_summary_refuses_nothing_over_the_budget_and_says_by_how_much(arguments: list[object]) -> None:
    document = summary(*arguments, "--json").document
    over = document["parameters"] - (document["budget"] - 1)
    assert over == document["over_budget"] > 0
    assert f"parameters, by {over:,}: `train` refuses it" in summary(*arguments).words


def test_summary_has_a_row_for_each_norm_of_the_assignment_or_of_the_registry() -> None:
    assert [one["norm"] for one in summary("--all", "--json").document["networks"]] == ["bn", "gn", "ln"]
    networks = {one["norm"]: one for one in summary("--every", "--json").document["networks"]}
    assert list(networks) == list(NORMS)
    assert networks["bn"]["parameters"] == networks["gn"]["parameters"] == networks["ln"]["parameters"]
    assert networks["none"]["norm_parameters"] == networks["lrn"]["norm_parameters"] == 0
    table = summary("--every").stdout
    assert f"over by {networks['ln-chw']['over_budget']:,}" in table
    assert table.count("within") == sum(one["over_budget"] == 0 for one in networks.values())


def over(info: NormInfo) -> str:
    """The axes, where the norm takes a statistic over any."""
    return "" if info.axes.is_empty else f" over {info.axes}"


def test_norms_explains_every_entry_of_the_registry() -> None:
    said = normbench("norms").words
    for info in NORMS.values():
        for word in (info.title, info.formula, f"{info.statistic}{over(info)};", info.paper, info.when):
            assert " ".join(word.split()) in said
    assert [one["name"] for one in normbench("norms", "--json").document["norms"]] == list(NORMS)
    assert normbench("norms", "-q").stdout.split() == list(NORMS)


def test_recipes_are_listed_by_the_names_that_config_takes() -> None:
    names = normbench("recipes", "-q").stdout.split()
    assert "baseline" in names
    documents = normbench("recipes", "--json").document["recipes"]
    shown = normbench("recipes").words
    assert [one["name"] for one in documents] == names
    for one in documents:
        assert Path(one["path"]).is_file()
        assert one["header"], "a recipe says what it is for"
        assert " ".join(one["header"].split()) in shown


def test_data_says_that_nothing_is_there_and_how_to_get_it(tmp_path: Path) -> None:
    answer = normbench("data", "--data-dir", tmp_path)
    assert answer.code == DATA_UNAVAILABLE
    assert "CIFAR-10 was not found. `normbench data --fetch` downloads it." in answer.words
    assert str(tmp_path) in answer.words
    document = normbench("data", "--data-dir", tmp_path, "--json").document
    assert (document["folder"], document["files"]) == (None, dict.fromkeys(BATCH_FILES, "missing"))


def test_data_tells_damaged_files_from_missing_ones(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_3").write_bytes(b"not CIFAR-10")
    answer = normbench("data", "--data-dir", tmp_path)
    assert f"CIFAR-10 in {folder} is damaged" in answer.words
    files = normbench("data", "--data-dir", tmp_path, "--json").document["files"]
    assert re.match("is damaged: its MD5 is [0-9a-f]{32}, not [0-9a-f]{32}", files.pop("data_batch_3"))
    assert files == dict.fromkeys(BATCH_FILES - {"data_batch_3"}, "is missing")


@pytest.mark.cifar10
def test_data_finds_the_real_cifar10_whole(cifar10_dir: Path) -> None:
    document = normbench("data", "--data-dir", cifar10_dir, "--json").document
    assert document["files"] == dict.fromkeys(BATCH_FILES, "ok")
    answer = normbench("data", "-q", NORMBENCH_DATA_DIR=str(cifar10_dir))
    assert answer.stdout.strip() == document["folder"] == str(cifar10_dir / "cifar-10-batches-py")


def test_env_names_versions_and_device_and_checks_the_installation(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "not" / "yet")
    answer = normbench("env", "--device", "cpu", *out)
    document = normbench("env", "--device", "cpu", *out, "--json").document
    assert (document["device"], document["problem"]) == ("cpu", None)
    assert all(f"{name} {version}" in answer.words for name, version in document["environment"].items())
    assert [(check["name"], check["passed"]) for check in document["checks"]] == [
        (name, True) for name in ("packages", "disk", "locks", "step")
    ]
    details = [check["detail"] for check in document["checks"]]
    assert details[0] in answer.words
    assert str(tmp_path) in details[1] and str(tmp_path) in details[2]
    assert [*tmp_path.iterdir()] == []
    assert normbench("env", "-q", NORMBENCH_DEVICE="cpu").stdout == "cpu\n"


def test_env_ends_with_an_error_where_a_check_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from normbench.engine import installation

    monkeypatch.setattr(installation, "acquire", lambda *_, **__: open_lock())
    monkeypatch.setattr(installation, "SMALLEST_DISK", 2**80)
    monkeypatch.setattr(installation, "build_for", lambda _config: broken_network())
    answer = normbench("env", "--device", "cpu", "--out", tmp_path, "--json")
    failed = {check["name"]: check["detail"] for check in answer.document["checks"] if not check["passed"]}
    assert answer.code == RUN_FAILED
    assert list(failed) == ["disk", "locks", "step"]
    assert "GiB free" in failed["disk"]
    assert "at once" in failed["locks"]
    assert "the loss on cpu is nan" in failed["step"]
    assert [*tmp_path.iterdir()] == []


def open_lock() -> SimpleNamespace:
    """A lock that keeps nobody out."""
    return SimpleNamespace(release=lambda: None)


def broken_network() -> nn.Module:
    """A network whose outputs are no numbers."""
    layer = nn.Linear(3 * 32 * 32, 10)
    nn.init.constant_(layer.weight, float("nan"))
    return nn.Sequential(nn.Flatten(), layer)
