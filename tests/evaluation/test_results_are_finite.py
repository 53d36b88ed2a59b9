"""The door for results: whatever is not finite is no result, wherever it arises and wherever it is read."""

import json
from pathlib import Path

import pytest
import torch
from helpers.cli import compare, normbench, run_folders, train
from helpers.small import run_config, start, train_epoch
from torch import nn

from normbench.data import DataSet
from normbench.errors import RUN_FAILED
from normbench.evaluation import NonFiniteError, accuracy_with_batch_statistics, details, evaluate, predict_logits
from normbench.files import json_text
from normbench.runs import RunResult
from normbench.runs.result import SCORES
from normbench.training import DivergedError

CLASSES = tuple("0123456789")
ONE_STEP = ("--epochs", 1, "--batch-size", 256)


def strict(text: str) -> dict:
    """JSON as other programs read it: NaN and infinity are errors."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def only_result(out: Path) -> dict:
    (folder,) = run_folders(out)
    return strict((folder / "result.json").read_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--norm", "bn", "--lr", "1e3"),  # the loss before the last step is finite, the weights after it are not
        ("--norm", "bn", "--lr", "1e30", *ONE_STEP),
        ("--norm", "none", "--lr", "1e30", *ONE_STEP),  # finite weights, logits that are not
        ("--norm", "none", "--lr", "1e30", "--val-split", "0.2", *ONE_STEP),
        ("--norm", "gn", "--lr", "1e30"),  # the loss itself
    ],
)
def test_a_run_that_ends_without_finite_weights_and_scores_has_diverged(tmp_path: Path, arguments: tuple) -> None:
    answer = train(tmp_path, *arguments, "--json")
    assert answer.code == RUN_FAILED
    run = strict(answer.stdout)["run"]
    assert run["status"] == "diverged"
    assert {name: run[name] for name in SCORES} == dict.fromkeys(SCORES)
    assert "no longer finite" in run["problem"]
    assert only_result(tmp_path) == run
    assert train(tmp_path, *arguments, "--json").document["run"] == run, "shown again, not trained again"


def test_weights_that_blow_up_in_the_last_step_of_a_later_epoch_are_seen(digits: DataSet) -> None:
    training = start(run_config("gn", epochs=2), digits)
    train_epoch(training, 1)
    steps = len(training.batches)

    def blow_up(_optimizer: object, _arguments: object, _keywords: object) -> None:
        nonlocal steps
        steps -= 1
        if not steps:
            with torch.no_grad():
                next(training.network.parameters())[0] = float("inf")

    training.optimizer.register_step_post_hook(blow_up)
    with pytest.raises(DivergedError, match="weights are no longer finite in epoch 2"):
        train_epoch(training, 2)


def test_a_buffer_that_starts_at_infinity_is_no_divergence(digits: DataSet) -> None:
    training = start(run_config("gn"), digits)
    training.network.register_buffer("lowest", torch.tensor(float("inf")))
    again = type(training)(training.config, training.network, digits)
    assert train_epoch(again, 1).epoch == 1


class Fixed(nn.Module):
    """A network that gives every image the same logits."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused_by_all_that_count_right_answers(digits: DataSet, value: float) -> None:
    network = Fixed(value, *[0.0] * 9)
    for score in (evaluate, predict_logits):
        with pytest.raises(NonFiniteError, match="not finite"):
            score(network, digits.test, digits, "fp32")
    with pytest.raises(NonFiniteError):
        accuracy_with_batch_statistics(network, digits.test, digits, "fp32", 32)
    with pytest.raises(NonFiniteError):
        details(torch.full((4, 10), value), torch.tensor([0, 0, 1, 2]), CLASSES)


def test_a_loss_that_overflows_is_refused_though_the_logits_are_finite(digits: DataSet) -> None:
    with pytest.raises(NonFiniteError):
        evaluate(Fixed(3e38, -3e38, *[0.0] * 8), digits.test, digits, "fp32")


def test_a_class_without_images_has_no_figure() -> None:
    found = details(torch.eye(3)[[0, 1, 1]], torch.tensor([0, 1, 0]), ("a", "b", "c"))
    assert found.per_class == {"a": 0.5, "b": 1.0, "c": None}
    assert found.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


def done(**fields: object) -> dict:
    known = {
        "status": "done", "norm": "bn", "seed": 0, "dataset": "digits", "network": "c10", "parameters": 1, "epochs": 1,
        "batch_size": 1, "lr": 0.1, "weight_decay": 0.0, "train_images": 1, "test_images": 1, "seconds": 1.0,
        "device": "cpu", "torch": "2", "fingerprint": "f", "train_accuracy": 0.5, "train_loss": 1.0,
    }  # fmt: skip
    return known | fields


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_result_of_an_earlier_version_with_a_score_that_is_not_finite_has_diverged(name: str, value: float) -> None:
    read = RunResult.model_validate_json(json.dumps(done(**{name: value})))
    assert (read.status, {getattr(read, score) for score in SCORES}) == ("diverged", {None})
    assert name.replace("_", " ") in (read.problem or "")


def test_no_number_of_a_result_is_nan_and_no_run_that_diverged_has_scores() -> None:
    for fields in ({"seconds": float("nan")}, {"lr": float("inf")}, {"status": "diverged"}, {"status": "failed"}):
        with pytest.raises(ValueError):
            RunResult.model_validate(done(**fields))


def test_json_is_written_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        json_text({"loss": float("nan")})
    answer = compare(tmp_path, "--norms", "none,gn", "--lr", "1e30", *ONE_STEP, "--json")
    assert strict(answer.stdout)["runs"][0]["status"] == "diverged"


def test_evaluate_refuses_weights_whose_logits_are_not_finite(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    assert train(tmp_path, "--norm", "gn").code == 0
    (folder,) = run_folders(tmp_path)
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
    name = next(name for name in weights if name.endswith("weight"))
    weights[name].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata)
    answer = normbench("evaluate", folder, "--json")
    assert answer.code != 0
    assert "error" in answer.document


def test_the_confusions_of_a_run_are_those_of_its_weights(tmp_path: Path) -> None:
    assert train(tmp_path, "--norm", "bn", "--epochs", 2).code == 0
    (folder,) = run_folders(tmp_path)
    kept = strict((folder / "confusion.json").read_text())
    again = normbench("evaluate", folder, "--json").document
    assert kept["counts"] == again["test_confusion"]
    images = sum(map(sum, kept["counts"]))
    recorded = strict((folder / "result.json").read_text())
    assert images == recorded["test_images"]
    assert sum(row[place] for place, row in enumerate(kept["counts"])) / images == recorded["test_accuracy"]


def test_a_search_which_reads_no_test_images_keeps_no_confusions(tmp_path: Path) -> None:
    assert compare(tmp_path, "--norms", "gn", "--lr", "0.01,0.1", "--val-split", "0.2").code == 0
    assert [path for folder in run_folders(tmp_path) for path in folder.glob("confusion.json")] == []
