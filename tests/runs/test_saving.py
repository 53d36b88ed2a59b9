"""States of a run on the disk: seldom while all goes well, and the last finished epoch's when it does not."""

import sys

import pytest
import torch
from helpers.callbacks import Recorder

from normbench.config import MachineConfig
from normbench.data import load
from normbench.engine.execute import ExecutionOptions, execute
from normbench.runs import RunFolder
from normbench.runs.environment import environment
from normbench.training import Training
from tests.engine.test_engine import folders_of, settings

CPU = torch.device("cpu")
EPOCHS = 5


@pytest.fixture(scope="module")
def data():
    return load(settings().data, MachineConfig(), CPU)


MODULE = sys.modules["normbench.engine.execute"]  # the package holds the function under that name


@pytest.fixture
def saves(monkeypatch):
    """The epochs after which a state was written."""
    written, save = [], RunFolder.save_state

    def noting(folder, state, rows):
        written.append(len(rows))
        save(folder, state, rows)

    monkeypatch.setattr(RunFolder, "save_state", noting)
    return written


def train(path, data, callback=None):
    (folder,) = folders_of(path, [settings(epochs=EPOCHS)])
    execute([folder], data, callback or Recorder(), ExecutionOptions())
    return folder


def content(folder):
    return (folder.path / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("seconds", "expected"), [(1e9, [EPOCHS]), (0.0, [1, 2, 3, 4, 5])])
def test_a_state_is_written_when_the_last_one_is_old_and_after_the_last_epoch(
    seconds, expected, saves, monkeypatch, tmp_path
):
    monkeypatch.setattr(MODULE, "SAVE_EVERY", seconds)
    train(tmp_path, load(settings().data, MachineConfig(), CPU))
    assert saves == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_breaks_a_run_off_leaves_the_last_finished_epoch_and_it_ends_as_if_nothing_had_been(
    error, saves, tmp_path, data
):
    class Breaking(Recorder):
        def epoch_done(self, config, row):
            super().epoch_done(config, row)
            if row.epoch == 3:
                raise error

    with pytest.raises(error):
        train(tmp_path / "broken", data, Breaking())
    assert saves == [3]
    callback = Recorder()
    resumed = train(tmp_path / "broken", data, callback)
    assert callback.events[0] == ("started", "gn", 0, 4)
    assert content(resumed) == content(train(tmp_path / "whole", data))


def test_a_step_that_fails_in_the_middle_of_an_epoch_leaves_the_epoch_before(saves, tmp_path, data, monkeypatch):
    step, taken = Training.step, []

    def failing(training, *batch):
        taken.append(1)
        if len(taken) == 8:  # of 3 an epoch: the second of the third epoch
            raise RuntimeError("gone")
        step(training, *batch)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="gone"):
        patched.setattr(Training, "step", failing)
        train(tmp_path / "broken", data)
    assert saves == [2]
    assert content(train(tmp_path / "broken", data)) == content(train(tmp_path / "whole", data))


def test_a_disk_that_is_gone_too_does_not_hide_why_a_run_ended(tmp_path, data, monkeypatch):
    class Breaking(Recorder):
        def epoch_done(self, config, row):
            raise KeyboardInterrupt

    def gone(*_):
        raise OSError("no disk")

    monkeypatch.setattr(RunFolder, "save_state", gone)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, data, Breaking())


def test_the_environment_asks_git_once_for_all_runs(monkeypatch):
    environment(CPU)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("git is asked again"))
    first, second = environment(CPU), environment(CPU)
    first["packages"]["torch"] = "spoiled"
    assert second["packages"]["torch"] != "spoiled"
