"""Training: repeatable bit for bit, honest about divergence, and able to learn."""

import math

import pytest
import torch
from helpers.small import run_config, start, timeless, train_epoch, weights

from normbench import data
from normbench.config import DataConfig, MachineConfig, NetworkConfig, RunConfig, TrainingConfig
from normbench.evaluation import evaluate
from normbench.norms import NORMS
from normbench.training import DivergedError


def trained(config, digits, epochs=2):
    training = start(config, digits)
    rows = [timeless(train_epoch(training, epoch)) for epoch in range(1, epochs + 1)]
    return rows, weights(training)


def same(some, others):
    return all(torch.equal(some[name], others[name]) for name in some)


@pytest.mark.parametrize("norm", NORMS)
def test_same_seed_same_rows_and_weights_bit_for_bit(norm, digits):
    torch.manual_seed(1)
    rows, first = trained(run_config(norm, dropout=0.1), digits)
    torch.manual_seed(2)
    again, second = trained(run_config(norm, dropout=0.1), digits)
    assert rows == again
    assert same(first, second)


def test_another_seed_gives_other_rows_and_weights(digits):
    rows, first = trained(run_config(seed=0), digits, epochs=1)
    other_rows, second = trained(run_config(seed=1), digits, epochs=1)
    assert rows != other_rows
    assert not same(first, second)


def test_dropout_draws_differ_between_seeds_and_epochs(digits):
    def mask(seed, epoch):
        training = start(run_config(seed=seed, dropout=0.5, lr=1e-30, weight_decay=0.0), digits)
        blocks = []
        training.network.C1.drop.register_forward_hook(lambda _, inputs, output: blocks.append(output == 0))
        train_epoch(training, epoch)
        return blocks[0]

    assert torch.equal(mask(0, 1), mask(0, 1))
    assert not torch.equal(mask(0, 1), mask(0, 2))
    assert not torch.equal(mask(0, 1), mask(1, 1))


def test_a_row_averages_over_the_epochs_own_batches(digits):
    training = start(run_config("none", lr=1e-30, weight_decay=0.0), digits)  # the weights stand still
    row = train_epoch(training, 1)
    losses, correct = [], 0
    with torch.no_grad():
        for images, labels in training.batches.epoch(1):
            scores = training.network(images)
            losses.append(torch.nn.functional.cross_entropy(scores, labels).item())
            correct += int((scores.argmax(1) == labels).sum())
    assert row.train_running_loss == pytest.approx(sum(losses) / 3, rel=1e-5)
    assert row.train_running_accuracy == correct / 96
    assert row.images_per_second == pytest.approx(96 / row.seconds)


def test_a_row_scores_the_validation_split_after_the_epoch(digits):
    training = start(run_config(), digits)
    row = train_epoch(training, 1)
    score = evaluate(training.network, digits.validation, digits, "fp32")
    assert (row.validation_loss, row.validation_accuracy) == (score.loss, score.accuracy)


def test_training_lowers_the_loss(digits):
    config = run_config(epochs=8, batch_size=8).model_copy(update={"data": DataConfig(name="digits", crop_padding=0)})
    rows, _ = trained(config, digits, epochs=8)
    assert rows[-1]["train_running_loss"] < 0.5 * rows[0]["train_running_loss"]


def test_a_huge_learning_rate_without_a_norm_is_reported_as_divergence(digits):
    training = start(run_config("none", lr=1e8), digits)
    with pytest.raises(DivergedError, match=r"no longer finite in epoch 1 at learning rate 1e\+08") as error:
        train_epoch(training, 1)
    assert (error.value.epoch, error.value.lr) == (1, 1e8)
    proposed = float(error.value.hint.split("--lr ")[1])
    assert 0 < proposed < 1e8


def test_bf16_computes_in_bfloat16_and_keeps_float32_weights(digits):
    training, kinds = start(run_config(precision="bf16"), digits), set()
    training.network.C2.conv.register_forward_hook(lambda _, inputs, output: kinds.add(output.dtype))
    row = train_epoch(training, 1)
    assert kinds == {torch.bfloat16}
    assert math.isfinite(row.train_running_loss)
    assert {parameter.dtype for parameter in training.network.parameters()} == {torch.float32}


@pytest.mark.cifar10
def test_four_epochs_on_5000_images_of_cifar10_give_three_times_chance(cifar10_dir):
    config = RunConfig(
        norm="bn",
        network=NetworkConfig(widths=(8, 8, 8, 16, 16, 16, 8, 16, 16, 16)),
        data=DataConfig(subset=5000),
        training=TrainingConfig(epochs=4, batch_size=50, lr=0.05, schedule="cosine"),
    )
    images = data.load(config.data, MachineConfig(data_dir=cifar10_dir), torch.device("cpu"))
    training = start(config, images)
    for epoch in (1, 2, 3, 4):
        train_epoch(training, epoch)
    some = images.test.take(torch.arange(1000))
    assert evaluate(training.network, some, images, "fp32").accuracy > 0.3
