"""Trackers are told what the run folder keeps."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest
from helpers.cli import TINY, normbench

from normbench import tracking
from normbench.console import ProgressCallback
from normbench.errors import USAGE
from normbench.runs import environment


def test_tensorboard_gets_every_epoch_and_the_outcome(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra normbench[tensorboard] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command = ("train", "--norm", "gn", *TINY, "--epochs", 2, "--track", "tensorboard", "--out", tmp_path, "--json")
    run = normbench(*command).document["run"]
    events = EventAccumulator(run["folder"]).Reload()
    rows = [json.loads(line) for line in (Path(run["folder"]) / "metrics.jsonl").read_text().splitlines()]
    losses = [(event.step, event.value) for event in events.Scalars("train_running_loss")]
    assert losses == [(row["epoch"], pytest.approx(row["train_running_loss"])) for row in rows]
    assert [event.value for event in events.Scalars("test_accuracy")] == [pytest.approx(run["test_accuracy"])]


class Service:
    """wandb's and trackio's interface, by what it does: runs that write their calls down."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple] = []
        self.settings: list[dict] = []
        module = ModuleType(name)
        module.init = self.init
        monkeypatch.setitem(sys.modules, name, module)

    def init(self, project, name, config, **settings):
        sys.stdout.write("a greeting on stdout\n")
        self.calls.append(("init", name, project, config["training.epochs"]))
        self.settings.append(settings)
        return Run(self, name)

    def of(self, norm: str) -> list[str]:
        """The calls of the runs of one norm."""
        return [call[0] for call in self.calls if call[1].startswith(norm)]


class Run:
    def __init__(self, service: Service, name: str) -> None:
        self.service, self.name = service, name

    def log(self, figures, step):
        self.service.calls.append(("log", self.name, step, sorted(figures)))

    def finish(self, **how):
        self.service.calls.append(("finish", self.name, how))


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_concurrent_runs_have_a_run_each_at_the_service(tmp_path, monkeypatch, name) -> None:
    service = Service(name, monkeypatch)
    options = ("--norms", "bn,gn", "--epochs", 2, "--jobs", 2, "--track", name, "--out", tmp_path, "--json")
    answer = normbench("compare", *TINY, *options)
    assert (answer.code, len(answer.document["runs"])) == (0, 2)
    for norm in ("bn", "gn"):
        assert service.of(norm) == ["init", "log", "log", "log", "finish"]
    assert [call[2:] for call in service.calls if call[0] == "init"] == [("normbench", 2)] * 2
    last = [call for call in service.calls if call[0] == "log" and call[1].startswith("gn")][-1]
    assert (last[2], "test_accuracy" in last[3]) == (2, True)
    assert {call[2].get("exit_code", 0) for call in service.calls if call[0] == "finish"} == {0}
    assert [settings.get("reinit") for settings in service.settings] == ["create_new" if name == "wandb" else None] * 2


FAILS = """
import torch
class Fails(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
    def forward(self, x):
        assert len(x) != 64
        return x
"""


def compare_with_one_that_fails(folder: Path, tracker: str) -> None:
    (folder / "fails.py").write_text(FAILS)
    norms = f"{folder}/fails.py:Fails,gn"
    answer = normbench("compare", *TINY, "--norms", norms, "--jobs", 1, "--track", tracker, "--out", folder / "runs")
    assert answer.code == 4


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_run_that_fails_is_closed_and_leaves_the_others_their_figures(tmp_path, monkeypatch, name) -> None:
    service = Service(name, monkeypatch)
    compare_with_one_that_fails(tmp_path, name)
    assert service.of("gn") == ["init", "log", "log", "finish"]
    failed = [call for call in service.calls if not call[1].startswith("gn")]
    assert [call[0] for call in failed] == ["init", "finish"]
    assert failed[1][2] == ({"exit_code": 1} if name == "wandb" else {})


def test_the_event_file_of_a_run_that_fails_is_closed(tmp_path, monkeypatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra normbench[tensorboard] is not installed")
    from torch.utils.tensorboard import SummaryWriter

    closed = []
    monkeypatch.setattr(SummaryWriter, "close", lambda writer: closed.append(Path(writer.log_dir).name[:3]))
    compare_with_one_that_fails(tmp_path, "tensorboard")
    assert (len(closed), closed[1]) == (2, "gn-")


@pytest.mark.parametrize("place", ["init", "log", "finish"])
@pytest.mark.parametrize("error", [OSError("offline"), SystemExit(3)], ids=["raises", "exits"])
def test_a_tracker_that_fails_costs_one_warning(tmp_path, monkeypatch, place, error) -> None:
    def fail(*_arguments, **_named):
        raise error

    monkeypatch.setattr(Service if place == "init" else Run, place, fail)
    Service("wandb", monkeypatch)
    options = ("--norms", "bn,gn", "--epochs", 2, "--track", "wandb", "--out", tmp_path, "--json")
    answer = normbench("compare", *TINY, *options)
    assert (answer.code, [run["status"] for run in answer.document["runs"]]) == (0, ["done", "done"])
    assert answer.stderr.count("--track wandb: ") == 1


def test_a_tracker_that_hangs_costs_one_warning_and_no_training(tmp_path, monkeypatch) -> None:
    service, released = Service("trackio", monkeypatch), threading.Event()
    monkeypatch.setattr(Run, "log", lambda *_arguments, **_named: released.wait(60))
    monkeypatch.setattr(tracking, "PATIENCE", 0.5)
    try:
        answer = normbench("train", "--norm", "gn", *TINY, "--track", "trackio", "--out", tmp_path, "--json")
    finally:
        released.set()
    assert (answer.code, answer.document["run"]["status"]) == (0, "done")
    assert answer.stderr.count("--track trackio: it has not answered") == 1
    assert service.of("gn") == ["init"]


def test_a_tracker_is_told_of_an_interruption(tmp_path, monkeypatch) -> None:
    service = Service("wandb", monkeypatch)

    def interrupt(callback, config, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressCallback, "epoch_done", interrupt)
    answer = normbench("train", "--norm", "gn", *TINY, "--track", "wandb", "--out", tmp_path)
    assert (answer.code, service.of("gn"), service.calls[-1][2]) == (130, ["init", "finish"], {"exit_code": 1})


def git(folder: Path, text: str) -> str:
    """A PATH on which `git` is another program."""
    (folder / "bin").mkdir()
    (folder / "bin" / "git").write_text(text)
    (folder / "bin" / "git").chmod(0o755)
    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows runs no scripts by their first line")
@pytest.mark.parametrize("text", ["#!/bin/sh\nsleep 300\n", "#!/nowhere/sh\n", "no program"])
def test_a_git_that_cannot_tell_costs_one_warning(tmp_path, monkeypatch, text) -> None:
    monkeypatch.setattr(environment, "GIT_SECONDS", 0.5)
    environment._git_commit.cache_clear()
    path = git(tmp_path, text)
    began = time.monotonic()
    answer = normbench("compare", "--norms", "bn,gn", *TINY, "--out", tmp_path / "runs", "--json", PATH=path)
    environment._git_commit.cache_clear()
    assert (answer.code, answer.stderr.count("git cannot tell")) == (0, 1)
    assert time.monotonic() - began < 250, "what git has started is not waited for"
    recorded = [json.loads(path.read_text())["git_commit"] for path in (tmp_path / "runs").glob("*/*/env.json")]
    assert recorded == [None, None]


def test_a_tracker_changes_no_number(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra normbench[tensorboard] is not installed")
    command = ("train", "--norm", "bn", *TINY, "--json", "--out")
    plain = normbench(*command, tmp_path / "plain").document["run"]
    tracked = normbench(*command, tmp_path / "tracked", "--track", "tensorboard").document["run"]
    weights = [(Path(run["folder"]) / "model.safetensors").read_bytes() for run in (plain, tracked)]
    assert weights[0] == weights[1]


def test_an_unknown_tracker_is_refused_before_training(tmp_path: Path) -> None:
    answer = normbench("train", "--norm", "gn", *TINY, "--track", "tensorbord", "--out", tmp_path)
    assert (answer.code, "Did you mean 'tensorboard'" in answer.stderr, list(tmp_path.iterdir())) == (USAGE, True, [])
