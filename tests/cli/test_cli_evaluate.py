"""`normbench evaluate` and `export`: a run's weights used again."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import SMALL, normbench, refused
from PIL import Image

from normbench.errors import RUN_FAILED, USAGE
from normbench.norms import norm_info

NORMS = ("bn", "gn", "ln", "in", "lrn", "ln-chw", "ln-c", "rms", "none", "gn+ws")


def trained(out: Path, norm: str) -> dict:
    options = ("--dataset", "digits", "--epochs", 1, "--batch-size", 32, "--set", SMALL, "--max-params", 200_000)
    return normbench("train", "--norm", norm, *options, "--out", out, "--json").document["run"]


@pytest.mark.parametrize("norm", NORMS)
def test_the_saved_weights_give_the_recorded_test_accuracy_to_the_last_digit(tmp_path: Path, norm: str) -> None:
    run = trained(tmp_path, norm)
    again = normbench("evaluate", run["folder"], "--json").document
    assert again["test_accuracy"] == again["recorded_test_accuracy"] == run["test_accuracy"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return trained(tmp_path_factory.mktemp("runs"), "gn")


def test_confusions_and_classes_add_up_to_the_accuracy(run: dict) -> None:
    found = normbench("evaluate", run["folder"], "--json").document
    confusion = np.array(found["test_confusion"])
    assert confusion.sum() == found["test_images"] == run["test_images"]
    assert confusion.trace() / confusion.sum() == run["test_accuracy"]
    per_class = dict(zip(found["test_per_class"], confusion.diagonal() / confusion.sum(axis=1), strict=True))
    assert found["test_per_class"] == pytest.approx(per_class)
    assert 0 <= found["test_calibration_error"] <= 1


def test_pictures_of_ones_own_are_classified(run: dict, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.new("L", (8, 8)).save(tmp_path / "black.jpg")
    decisions = normbench("evaluate", run["folder"], "--images", tmp_path, "--json").document["decisions"]
    assert [one["file"] for one in decisions] == ["black.jpg", "noise.png"]
    assert all(one["decided"] in set("0123456789") and 0.1 <= one["probability"] <= 1 for one in decisions)


def test_damaged_weights_are_refused_in_words(run: dict) -> None:
    path = Path(run["folder"]) / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    answer = normbench("evaluate", run["folder"])
    path.write_bytes(whole)
    assert (answer.code, f"{path} cannot be used" in answer.stderr) == (RUN_FAILED, True)


def test_the_onnx_file_scores_as_torch_does(run: dict, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra normbench[onnx] is not installed")
    target = tmp_path / "net.onnx"
    document = normbench("export", run["folder"], "--file", target, "--json").document
    assert (document["file"], target.exists()) == (str(target), True)
    assert document["relative_difference"] < 1e-4


def test_an_unknown_format_is_named(run: dict) -> None:
    answer = normbench("export", run["folder"], "--format", "onxx")
    assert (answer.code, "Did you mean 'onnx'" in answer.stderr) == (USAGE, True)


def test_a_run_of_an_earlier_revision_of_its_norm_is_refused_in_words(tmp_path: Path) -> None:
    """Before there were revisions `none` had no bias: the settings of such a run do not name one."""
    folder = Path(trained(tmp_path, "none")["folder"])
    settings = json.loads((folder / "config.json").read_text())
    assert settings.pop("norm_revision") == norm_info("none").revision
    (folder / "config.json").write_text(json.dumps(settings))
    refused(normbench("evaluate", folder, "--out", tmp_path), RUN_FAILED, "another revision of none")
