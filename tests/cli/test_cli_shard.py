"""`--shard I/N`: the jobs of an array train a plan together, and the plain command shows the whole."""

import shlex
from pathlib import Path

import pytest
import torch
from helpers.cli import TINY, compare, normbench, refused

from normbench.device import resolve_device
from normbench.errors import USAGE, UsageError

PLAN = ("--norms", "bn,gn", "--seeds", 2)


def test_parts_make_up_the_plan_and_the_plain_command_trains_nothing(tmp_path: Path) -> None:
    first = compare(tmp_path, *PLAN, "--shard", "1/3", "--json").document
    others = [compare(tmp_path, *PLAN, "--shard", f"{part}/3", "--json").document for part in (2, 3)]
    parts = [{(run["norm"], run["seed"]) for run in document["runs"]} for document in (first, *others)]
    assert [len(part) for part in parts] == [2, 1, 1]
    assert set.union(*parts) == {("bn", 0), ("bn", 1), ("gn", 0), ("gn", 1)}
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")}
    whole = compare(tmp_path, *PLAN, "--json").document
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/result.json")} == times
    alone = compare(tmp_path / "alone", *PLAN, "--json").document
    accuracies = [[run["test_accuracy"] for run in document["runs"]] for document in (whole, alone)]
    assert accuracies[0] == accuracies[1]


def test_a_study_trains_its_part_and_writes_no_result(tmp_path: Path) -> None:
    tiny = ("batch-size", "--dataset", "digits", "--subset", 64, "--epochs", 1, "--norms", "bn,gn", "--sizes", "16,32")
    answer = normbench(*tiny, "--out", tmp_path, "--shard", "2/4", "--json")
    (run,) = answer.document["runs"]
    assert (run["norm"], run["batch_size"]) == ("gn", 16)
    assert not list(tmp_path.glob("*/finding.json"))


def test_a_dry_run_shows_the_part(tmp_path: Path) -> None:
    answer = compare(tmp_path, *PLAN, "--shard", "2/4", "--dry-run", "--json")
    assert [(run["config"]["norm"], run["config"]["seed"]) for run in answer.document["runs"]] == [("bn", 1)]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", "1/0", "1/99999999999"])
def test_what_is_no_part_is_refused(tmp_path: Path, text: str) -> None:
    refused(compare(tmp_path, *PLAN, f"--shard={text}"), USAGE, "--shard", "I/N")


def test_a_part_without_runs_is_refused(tmp_path: Path) -> None:
    refused(compare(tmp_path, *PLAN, "--shard", "5/5"), USAGE, "part 5 of 5", "4")


@pytest.mark.parametrize("name", ["cuda:x", "cuda:", "cuda:-1", "gpu", "cpu:0", "cuda:1234"])
def test_what_is_no_device_is_refused(tmp_path: Path, name: str) -> None:
    refused(compare(tmp_path, *PLAN, "--device", name), USAGE, "device", "cuda:N")


def test_a_numbered_device_is_the_current_one_and_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert chosen == [1]
    with pytest.raises(UsageError, match="cuda:2 is not available: torch sees 2 CUDA devices"):
        resolve_device("cuda:2")


def test_the_script_of_the_documentation_trains_its_part(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    script = page.split("## Slurm")[1].split("```sh\n")[1].split("```")[0]
    (command,) = (line.removeprefix("exec normbench ") for line in script.splitlines() if line.startswith("exec "))
    (array,) = (line for line in script.splitlines() if "--array=1-" in line)
    parts = array.rpartition("-")[2]
    for part in (1, int(parts)):
        typed = command.replace("$SLURM_ARRAY_TASK_ID", str(part)).replace("$SLURM_ARRAY_TASK_COUNT", parts)
        answer = normbench(*shlex.split(typed), *TINY, "--out", tmp_path, "--dry-run", "--json")
        runs = [(run["config"]["norm"], run["config"]["seed"]) for run in answer.document["runs"]]
        assert runs == [(norm, seed) for norm in ("bn", "gn", "ln") for seed in range(30)][part - 1 :: int(parts)]
