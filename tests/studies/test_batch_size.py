"""`normbench batch-size`: every norm at every batch size, and what BatchNorm's statistics have to do with it."""

import copy
from pathlib import Path

import pytest
import torch
from helpers.cli import SMALL, Answer, normbench, refused, run_folders
from helpers.small import run_config, start, train_epoch

from normbench.analysis import Estimate
from normbench.config import Recipe, load_recipe
from normbench.data import DataSet, normalize
from normbench.errors import SOME_RUNS_FAILED, USAGE
from normbench.evaluation import accuracy_with_batch_statistics, evaluate, has_batch_statistics, recompute_statistics
from normbench.runs import RunResult
from normbench.studies.batch_size.measure import Measurement, Point, batch_size_configs, scaled_lr
from normbench.studies.batch_size.sentences import conclusions

TINY = ("--dataset", "digits", "--subset", 128, "--epochs", 1, "--set", SMALL)


def batch_size(out: Path, *arguments: object) -> Answer:
    return normbench("batch-size", *TINY, "--out", out, *arguments)


def test_the_learning_rate_follows_the_batch() -> None:
    assert scaled_lr(0.05, 4.0, "linear") == pytest.approx(0.2)
    assert scaled_lr(0.05, 1 / 16, "linear") == pytest.approx(0.003125)
    assert scaled_lr(0.05, 4.0, "sqrt") == pytest.approx(0.1)
    assert scaled_lr(0.05, 4.0, "none") == 0.05


def test_every_norm_meets_every_size_at_its_own_scaled_rate() -> None:
    recipe = Recipe.model_validate(
        {"norms": ("gn", "bn"), "seeds": 2, "training": {"batch_size": 32, "lr": 0.04}, "norm": {"bn": {"lr": 0.08}},
         "sweep": {"batch_sizes": (64, 8)}}
    )  # fmt: skip
    configs = batch_size_configs(recipe, 50_000)
    assert [(c.training.batch_size, c.norm, c.seed, c.training.lr) for c in configs] == [
        (8, "gn", 0, 0.01), (8, "gn", 1, 0.01), (8, "bn", 0, 0.02), (8, "bn", 1, 0.02),
        (64, "gn", 0, 0.08), (64, "gn", 1, 0.08), (64, "bn", 0, 0.16), (64, "bn", 1, 0.16),
    ]  # fmt: skip
    assert all(config.read_test for config in configs)
    tried = recipe.model_copy(update={"data": recipe.data.model_copy(update={"val_split": 0.1})})
    assert not any(config.read_test for config in batch_size_configs(tried, 50_000))


@pytest.mark.parametrize("name", ["batch-size", "batch-size-full"])
def test_a_recipe_gives_every_batch_size_the_same_images(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.data.subset
    assert [size for size in recipe.sweep.batch_sizes if recipe.data.subset % size] == []


def test_statistics_are_recomputed_over_the_plain_training_images(
    digits: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normbench.evaluation.batch_statistics.STATISTICS_BATCH", 32)
    training = start(run_config("bn"), digits)
    train_epoch(training, 1)
    network = training.network.eval()
    recompute_statistics(network, digits, "fp32")
    images = normalize(digits.train.images, digits.mean, digits.std)
    parts = network.get_submodule("C1.conv")(images).double().split(32)
    variance = torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0)
    mean = torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0)
    norm = network.get_submodule("C1.norm")
    torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-3, atol=0.0)  # a float32 sum of 32,768
    assert ((norm.running_mean - mean).abs() < 1e-3 * variance.sqrt()).all()
    assert not any(module.training for module in network.modules())


def test_each_batch_is_normalized_by_itself_and_nothing_is_left_behind(digits: DataSet) -> None:
    training = start(run_config("bn", dropout=0.5), digits)
    train_epoch(training, 1)
    network = training.network.eval()
    buffers = {name: value.clone() for name, value in network.named_buffers() if "running" in name}
    accuracy = accuracy_with_batch_statistics(network, digits.test, digits, "fp32", 8)

    by_hand = copy.deepcopy(network)
    for module in by_hand.modules():
        module.train(isinstance(module, torch.nn.BatchNorm2d))
    right = sum(
        int((by_hand(normalize(images, digits.mean, digits.std)).argmax(1) == labels).sum())
        for images, labels in zip(digits.test.images.split(8), digits.test.labels.split(8), strict=True)
    )
    assert accuracy == right / len(digits.test)
    assert all(torch.equal(value, buffers[name]) for name, value in network.named_buffers() if "running" in name)
    assert not any(module.training for module in network.modules())
    assert network.get_submodule("C1.norm").momentum == 0.1
    assert accuracy != evaluate(network, digits.test, digits, "fp32").accuracy


def test_a_norm_without_batch_statistics_has_none_to_look_into(digits: DataSet) -> None:
    assert has_batch_statistics(start(run_config("bn"), digits).network)
    assert not has_batch_statistics(start(run_config("gn"), digits).network)


def point(norm: str, size: int, accuracy: float | None, **statistics: float) -> Point:
    by_source = {source: Estimate(mean=value, n=1) for source, value in statistics.items()}
    problems = () if accuracy else ("seed 0 diverged",)
    value = None if accuracy is None else Estimate(mean=accuracy, n=1)
    return Point(norm, size, 0.1, 4096 // size, value, value, None, by_source, problems)


POINTS = [
    point("bn", 2, 0.25, running=0.24, recomputed=0.31, batch=0.22), point("gn", 2, 0.37),
    point("bn", 8, 0.36, running=0.36, recomputed=0.36, batch=0.33), point("gn", 8, 0.38),
    point("bn", 32, 0.45, running=0.45, recomputed=0.44, batch=0.44), point("gn", 32, None),
]  # fmt: skip


def test_the_conclusions_follow_from_the_figures(tmp_path: Path) -> None:
    recipe = load_recipe("batch-size")
    measurement = Measurement(tuple(POINTS), (trained(tmp_path),), recipe, torch.device("cpu"))
    sentences = conclusions(measurement)
    assert list(sentences[:4]) == [
        "At batches of 2 (2,048 steps): bn is 20.0 pp below its best (25.0 % against 45.0 % at 32); gn is 1.0 pp below "
        "its best (37.0 % against 38.0 % at 8).",
        "At batches of 32 (128 steps): bn is at its best (45.0 %).",
        "The highest test accuracy by batch size: gn at 2 to 8, bn at 32.",
        "bn after batches of 2: 24.0 % with its running statistics, 31.0 % with statistics recomputed on the training "
        "images, 22.0 % with the statistics of each batch: so 7.0 pp are lost to the running averages alone.",
    ]
    assert sentences[4].endswith("so its running averages cost it nothing.")
    assert sentences[5] == "Not finished (no mean where a run diverged): gn at 32 (seed 0 diverged)."
    assert "One seed" in sentences[6] and "digits" in sentences[7]


def trained(out: Path) -> RunResult:
    document = normbench("train", "--norm", "gn", *TINY, "--batch-size", 64, "--out", out, "--json").document
    return RunResult.model_validate(document["run"])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bn and gn at batches of 8 and 64."""
    out = tmp_path_factory.mktemp("swept")
    assert batch_size(out, "--norms", "bn,gn", "--sizes", "64,8").code == 0
    return out


def test_the_study_keeps_its_result_its_plots_and_its_report(swept: Path) -> None:
    folder = swept / "batch-size"
    assert len(run_folders(swept)) == 5  # four runs, and the plots
    assert {path.stem for path in (folder / "plots").glob("*.svg")} == {"chart-accuracy", "chart-statistics-bn"}
    page = normbench("report", "batch-size", "--out", swept)
    assert "At batches of 8 (16 steps)" in page.words
    assert "Learning rate by batch size" in (folder / "report.html").read_text()


def test_what_was_trained_is_not_trained_again_and_json_has_every_point(swept: Path) -> None:
    answered = batch_size(swept, "--norms", "bn,gn", "--sizes", "8,64", "--json")
    assert answered.stderr.count("already done") == 4
    assert "gn batch 64 seed 0: already done" in answered.stderr
    values = answered.document["values"]
    assert [(point["norm"], point["batch_size"], point["steps"]) for point in values["points"]] == [
        ("bn", 8, 16), ("gn", 8, 16), ("bn", 64, 2), ("gn", 64, 2),
    ]  # fmt: skip
    bn, gn, larger, _ = values["points"]
    assert larger["lr"] == pytest.approx(8 * bn["lr"])
    assert bn["accuracy_running"]["mean"] == bn["accuracy"]["mean"]  # the digits are fewer than a sample
    assert "accuracy_running" not in gn
    assert batch_size(swept, "--norms", "bn,gn", "--sizes", "8,64", "-q").stdout.split()[:2] == ["8", "16"]


def test_a_sweep_on_a_validation_split_leaves_the_test_images_unread(tmp_path: Path) -> None:
    answered = batch_size(tmp_path, "--norms", "gn", "--sizes", "32", "--val-split", "0.1", "--seeds", 3)
    assert "Validation accuracy by batch size" in answered.words
    assert "The test images were not read." in answered.words
    assert "±" in answered.words


def test_images_that_a_batch_size_leaves_out_are_named(tmp_path: Path) -> None:
    answered = batch_size(tmp_path, "--norms", "gn", "--sizes", "48")
    assert "batches of 48 leave out 32 of 128 images in every epoch" in answered.stderr


def test_a_point_that_diverges_is_shown_and_ends_in_its_exit_code(tmp_path: Path) -> None:
    answered = batch_size(tmp_path, "--norms", "none,gn", "--sizes", "32", "--set", "norm.none.lr=1e20")
    assert answered.code == SOME_RUNS_FAILED
    assert "not finished" in answered.words
    assert "none at 32 (seed 0 diverged)" in answered.words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sizes", "8,x"), ("--sizes", "not an integer")),
        (("--sizes", "0,8"), ("sizes", "greater than or equal to 1")),
        (("--sizes", "1", "--norms", "bn"), ("batch of 1 image",)),
        (("--scaling", "cubic"), ("scaling", "linear")),
        (("--norms", ","), ("--norms ,", "names nothing")),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(tmp_path: Path, arguments: tuple, words: tuple[str, ...]) -> None:
    refused(batch_size(tmp_path, *arguments), USAGE, *words)
