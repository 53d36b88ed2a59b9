"""A custom norm is saved, loaded and compared before its first epoch; built-in ones are not tried out."""

import importlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.cli import normbench, refused, run_folders, train
from helpers.small import run_config

from normbench import engine
from normbench.config import DataConfig, NetworkConfig, RunConfig
from normbench.config.settings import DATA_SETS, DataSetInfo
from normbench.engine.trial import try_out
from normbench.errors import RUN_FAILED, USAGE, UsageError
from normbench.networks import build
from normbench.norms import NORMS, Norm

FILE = Path(__file__).parents[1] / "helpers" / "unsaved_norms.py"


def config(name: str, **settings: object):
    return run_config(f"{FILE}:{name}", **settings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NonPersistent", "gives other outputs once it is saved and loaded.*NonPersistent.mean"),
        ("PlainTensor", "gives other outputs once it is saved and loaded.*PlainTensor.scale"),
        ("Counting", "gives other outputs once it is saved and loaded.*Counting.steps"),
        ("CountingInTraining", "trains otherwise once it is saved and loaded.*CountingInTraining.steps"),
        ("ExtraState", "cannot be saved.*_extra_state"),
        ("shared", "shares tensors between networks"),
        ("SharedParameter", "shares tensors between networks"),
        ("SharedMean", "shares state between networks"),
        ("Expanded", "cannot be loaded"),
    ],
)
def test_norms_that_a_state_dict_does_not_hold_are_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        try_out(config(name))
    assert error.value.hint
    assert "\n" not in error.value.message


@pytest.mark.parametrize("name", ["Tied", "Constant", "ActNorm", "Late", "Noisy", "NoisyInPython", "Exits"])
def test_norms_that_it_does_hold_are_not(name: str) -> None:
    assert try_out(config(name)).warnings == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Watching", "keeps Watching.steps outside its state dict"),
        ("Unseeded", "no seed of normbench reaches"),
        ("NoisyInEval", "in eval mode"),
    ],
)
def test_what_may_be_meant_so_is_a_warning(name: str, words: str) -> None:
    (warning,) = try_out(config(name)).warnings
    assert words in warning


@pytest.mark.parametrize("name", ["Watching", "Noisy", "NoisyInPython", "Unseeded"])
def test_steps_with_python_state_are_not_captured(name: str) -> None:
    assert not try_out(config(name)).captures


@pytest.mark.parametrize("settings", [{"lr": 1e30}, {"batch_size": 1}, {"schedule": "onecycle", "epochs": 1}])
def test_the_settings_of_the_run_do_not_disturb_the_comparison(settings: dict) -> None:
    assert try_out(config("Tied", **settings)).warnings == ()


def test_the_trial_leaves_the_global_generators_as_they_were() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    try_out(config("Noisy"))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_built_in_norms_are_not_tried_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        importlib.import_module("normbench.engine.plan"), "try_out", lambda config: pytest.fail(config.norm)
    )
    for norm in NORMS:
        answer = train(tmp_path, "--norm", norm, "--dry-run", "--max-params", 10**6)
        assert answer.code == 0


def test_blank_images_do_not_initialise_a_norm() -> None:
    network = build(config("ActNorm").network, Norm.parse(f"{FILE}:ActNorm"))
    assert not network.C1.norm.initialized


def test_a_parameter_made_from_the_first_input_is_there_before_training() -> None:
    network = build(config("Late").network, Norm.parse(f"{FILE}:Late"))
    assert "C1.norm.weight" in dict(network.named_parameters())


def test_nothing_is_written_before_a_norm_is_refused(tmp_path: Path) -> None:
    refused(train(tmp_path, "--norm", f"{FILE}:Counting"), USAGE, "saved and loaded", "state dict")
    assert run_folders(tmp_path) == []


@pytest.mark.parametrize("name", ["Noisy", "Tied"])
def test_one_seed_gives_one_result_which_is_evaluated_again(tmp_path: Path, name: str) -> None:
    spec = f"{FILE}:{name}"
    first, second = (train(tmp_path / out, "--norm", spec, "--json").document["run"] for out in ("a", "b"))
    assert first["train_loss"] == second["train_loss"]
    found = normbench("evaluate", first["folder"], "--norm", spec, "--json").document
    assert found["test_accuracy"] == first["test_accuracy"]


def test_runs_that_draw_from_the_host_train_one_at_a_time(tmp_path: Path) -> None:
    from normbench.config import MachineConfig

    configs = [config("Noisy").model_copy(update={"seed": seed}) for seed in (0, 1)]
    plan = engine.plan(configs, MachineConfig(out=tmp_path, device="cpu", jobs=2), "x")
    assert plan.concurrency.runs == 1


@pytest.mark.filterwarnings("error")
def test_a_complex_buffer_is_compared_whole() -> None:
    assert try_out(config("Complex")).captures, "a warning of torch would have ended the trial"


@pytest.mark.parametrize(("name", "words"), [("Fails", "RuntimeError: boom"), ("Sparse", "NotImplementedError")])
def test_a_custom_norm_that_fails_in_the_only_run_is_named_in_one_line(name: str, words: str, tmp_path: Path) -> None:
    answer = train(tmp_path, "--norm", f"{FILE}:{name}", "--batch-size", 4, "--json")
    error = answer.document["error"]
    assert error["message"].startswith(f"{FILE}:{name} seed 0 failed: {words}")
    assert "\n" not in error["message"]
    assert len(error["message"]) < 1000
    assert "not expected" not in error["hint"]
    assert answer.code == error["exit_code"] == RUN_FAILED


def test_a_norm_that_torch_cannot_export_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra normbench[onnx] is not installed")
    assert train(tmp_path, "--norm", f"{FILE}:ActNorm").code == 0
    (run,) = run_folders(tmp_path)
    answer = normbench("export", run, "--trust", "--json")
    message = answer.document["error"]["message"]
    assert message.startswith("this network has no ONNX form: ")
    assert "data-dependent" in message
    assert "\n" not in message
    assert "def forward" not in answer.stderr


def test_plan_and_trial_have_the_classes_of_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with five outputs, whatever it is asked for, is right for five classes and wrong for ten."""
    monkeypatch.setitem(DATA_SETS, "hand", DataSetInfo("fingers of a hand", classes=5))
    network = NetworkConfig(name=f"{FILE.with_name('user_networks.py')}:five_classes")
    hand, digits = (RunConfig(norm="bn", network=network, data=DataConfig(name=name)) for name in ("hand", "digits"))
    assert engine.check_model(hand) == 3 * 8 * 9 + 2 * 8 + 8 * 16 * 9 + 2 * 16 + 16 * 5 + 5
    assert try_out(hand).captures
    with pytest.raises(UsageError, match="five_classes"):
        engine.check_model(digits)
