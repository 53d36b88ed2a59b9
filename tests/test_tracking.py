"""Trackers are told what the run folder keeps."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from cli import TINY, normbench

from normbench.errors import USAGE


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


def test_the_three_calls_are_made_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wandb's and trackio's interface, by a module that writes the calls down."""
    calls = []
    module = ModuleType("trackio")
    module.init = lambda project, name, config: calls.append(("init", project, config["training.epochs"]))
    module.log = lambda figures, step: calls.append(("log", step, sorted(figures)))
    module.finish = lambda: calls.append(("finish",))
    monkeypatch.setitem(sys.modules, "trackio", module)
    assert normbench("train", "--norm", "gn", *TINY, "--track", "trackio", "--out", tmp_path).code == 0
    assert [call[0] for call in calls] == ["init", "log", "log", "finish"]
    assert calls[0][1:] == ("normbench", 1)
    assert "test_accuracy" in calls[2][2] and "lr" in calls[1][2]


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
