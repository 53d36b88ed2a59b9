"""A training that is broken off and goes on from its state ends as one that never stopped, bit for bit."""

import io
from typing import get_args

import pytest
import torch
from helpers.small import run_config, start, timeless, train_epoch, weights

from normbench.config import NetworkConfig
from normbench.config.settings import Optimizer, Schedule
from normbench.engine import Callback
from normbench.engine.execute import ExecutionOptions, execute
from normbench.errors import RunFailedError
from normbench.networks import NETWORKS
from normbench.norms import NORMS
from normbench.runs import RunFolder


def through_a_file(state):
    """As a run folder keeps it: written and read without unpickling anything but tensors and numbers."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def assert_resumes_bit_for_bit(config, digits):
    whole = start(config, digits)
    rows = [timeless(train_epoch(whole, epoch)) for epoch in (1, 2, 3)]

    broken_off = start(config, digits)
    train_epoch(broken_off, 1)
    state = through_a_file(broken_off.state())

    torch.manual_seed(99)
    resumed = start(config, digits)
    resumed.load_state(state)
    assert [timeless(train_epoch(resumed, epoch)) for epoch in (2, 3)] == rows[1:]
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_resuming_equals_never_stopping_under_every_schedule(schedule, dropout, digits):
    assert_resumes_bit_for_bit(run_config(dropout=dropout, epochs=3, schedule=schedule, step_size=1), digits)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("settings", [{"schedule": "linear"}, {"decay_norms": False, "weight_decay": 0.1}], ids=str)
def test_resuming_equals_never_stopping_with_every_optimizer(optimizer, settings, digits):
    assert_resumes_bit_for_bit(run_config(epochs=3, optimizer=optimizer, **settings), digits)


@pytest.mark.parametrize("norm", [*NORMS, "gn+ws", "gn+wn", "gn+cwn"])
def test_resuming_equals_never_stopping_with_every_norm(norm, digits):
    assert_resumes_bit_for_bit(run_config(norm, epochs=3), digits)


@pytest.mark.parametrize("name", NETWORKS)
def test_resuming_equals_never_stopping_in_every_network(name, digits):
    config = run_config(epochs=3, lr=0.01)
    assert_resumes_bit_for_bit(config.model_copy(update={"network": NetworkConfig(name=name)}), digits)


@pytest.mark.parametrize("missing", ["network", "optimizer", "schedule"])
def test_every_part_of_the_state_is_needed(missing, digits):
    config = run_config(epochs=3, schedule="cosine")
    training = start(config, digits)
    train_epoch(training, 1)
    state = through_a_file(training.state())
    expected = [timeless(train_epoch(training, epoch)) for epoch in (2, 3)]

    resumed = start(config, digits)
    resumed.load_state(state | {missing: start(config, digits).state()[missing]})
    assert [timeless(train_epoch(resumed, epoch)) for epoch in (2, 3)] != expected


def test_a_run_folder_goes_on_from_the_state_it_wrote(digits, tmp_path):
    config = run_config(epochs=3)
    folder = RunFolder(tmp_path, "x", config)
    folder.path.mkdir(parents=True)
    folder.start({})
    training = start(config, digits)
    row = train_epoch(training, 1)
    folder.save_state(training.state(), [row])
    state, rows = folder.load_state()
    assert rows == [row]
    resumed = start(config, digits)
    resumed.load_state(state)
    assert timeless(train_epoch(resumed, 2)) == timeless(train_epoch(training, 2))


OTHER_STATES = {
    "rows of another run": lambda content: content | {"rows": content["rows"] * 2},
    "a row without a loss": lambda content: content | {"rows": [{"epoch": 1}]},
    "no rows": lambda content: content | {"rows": None},
    "a list": lambda content: [content],
    "a tensor": lambda content: content["training"]["network"]["C1.conv.weight"],
    "another run": lambda content: content | {"fingerprint": "ab" * 32},
    "a number for a fingerprint": lambda content: content | {"fingerprint": 7},
    "no training": lambda content: content | {"training": None},
}
OTHER_TRAININGS = {
    "no network": lambda training: training | {"network": {}},
    "another network": lambda training: training | {"network": {"x": torch.zeros(1)}},
    "no schedule": lambda training: training | {"schedule": {}},
    "a schedule of texts": lambda training: training | {"schedule": dict.fromkeys(training["schedule"], "x")},
    "no optimizer": lambda training: training | {"optimizer": {}},
    "other momentum": lambda training: (
        training | {"optimizer": training["optimizer"] | {"state": {0: {"momentum_buffer": torch.zeros(3)}}}}
    ),
    "the state of Adam": lambda training: training | {"optimizer": state_of_adam(training["optimizer"])},
    "a list": lambda training: [training],
}


def state_of_adam(state):
    """Groups as they are of Adam, and nothing else."""
    groups = [{"params": group["params"], "lr": 0.1, "betas": (0.9, 0.999)} for group in state["param_groups"]]
    return {"state": {}, "param_groups": groups}


@pytest.fixture
def interrupted(digits, tmp_path):
    """A run folder, and the content of its state."""
    config = run_config(epochs=3)
    folder = RunFolder(tmp_path, "x", config)
    folder.path.mkdir(parents=True)
    folder.start({})
    training = start(config, digits)
    folder.save_state(training.state(), [train_epoch(training, 1)])
    return folder, torch.load(folder.path / "state.pt", weights_only=True)


def resume(folder, digits):
    conditions = ExecutionOptions()
    return execute([folder], digits, Callback(), conditions)


@pytest.mark.parametrize("change", OTHER_STATES.values(), ids=OTHER_STATES)
def test_a_state_of_another_structure_is_refused_in_words(change, interrupted, digits):
    folder, content = interrupted
    torch.save(change(content), folder.path / "state.pt")
    with pytest.raises(RunFailedError, match=r"state\.pt") as error:
        resume(folder, digits)
    assert "--force" in error.value.hint


@pytest.mark.parametrize("change", OTHER_TRAININGS.values(), ids=OTHER_TRAININGS)
def test_a_state_of_another_training_is_refused_in_words(change, interrupted, digits):
    folder, content = interrupted
    torch.save(content | {"training": change(content["training"])}, folder.path / "state.pt")
    with pytest.raises(RunFailedError, match=r"state\.pt") as error:
        resume(folder, digits)
    assert "--force" in error.value.hint


def test_a_state_of_an_earlier_version_has_no_fingerprint_and_is_resumed(interrupted, digits):
    folder, content = interrupted
    del content["fingerprint"]
    torch.save(content, folder.path / "state.pt")
    (result,) = resume(folder, digits)
    assert (result.status, result.epochs) == ("done", 3)
