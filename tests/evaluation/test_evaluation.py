"""Scores: those of a plain loop, from a network that is left as it was."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from helpers.small import run_config, start, train_epoch, weights

from normbench.data import Split
from normbench.evaluation import evaluate
from normbench.evaluation.score import evaluation_batch
from normbench.norms import NORMS

BATCH = evaluation_batch(torch.device("cpu"))


@pytest.fixture(scope="module")
def training(digits):
    made = start(run_config(dropout=0.3), digits)
    train_epoch(made, 1)
    return made


@pytest.fixture(scope="module")
def many(digits) -> Split:
    """More images than one evaluation batch, and no multiple of it."""
    index = torch.arange(BATCH + 123) % len(digits.test)
    return digits.test.take(index)


def one_by_one(network, split, data):
    network.eval()
    loss = correct = 0.0
    with torch.no_grad():
        for image, label in zip(split.images, split.labels, strict=True):
            scores = network(((image.float() - data.mean) / data.std)[None])[0]
            loss -= F.log_softmax(scores, 0)[label].item()
            correct += int(scores.argmax()) == int(label)
    return loss / len(split), correct / len(split)


def test_loss_and_accuracy_are_those_of_a_loop_over_single_images(training, many, digits):
    assert len(many) > BATCH
    score = evaluate(training.network, many, digits, "fp32")
    loss, accuracy = one_by_one(training.network, many, digits)
    assert score.loss == pytest.approx(loss, rel=1e-5)
    assert score.accuracy == accuracy
    assert score.images == len(many)


@pytest.mark.parametrize("norm", NORMS)
def test_a_score_depends_on_no_batch_size_but_for_the_rounding_of_its_loss(norm, digits):
    network = start(run_config(norm), digits).network
    scores = [evaluate(network, digits.test, digits, "fp32", size) for size in (17, 100, 360)]
    assert {score.accuracy for score in scores} == {scores[0].accuracy}
    assert [score.loss for score in scores] == pytest.approx([scores[0].loss] * 3, rel=1e-6)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_restores_the_mode_and_moves_no_weight_and_no_buffer(training, digits, mode):
    training.network.train(mode)
    before = weights(training)
    evaluate(training.network, digits.test, digits, "fp32")
    assert training.network.training is mode
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(training).items())


def test_evaluation_twice_gives_the_same_digits_though_there_is_dropout(training, digits):
    training.network.train()
    first, second = (evaluate(training.network, digits.test, digits, "fp32") for _ in range(2))
    assert first == second


def test_label_smoothing_is_not_part_of_the_reported_loss(digits):
    plain, smoothed = start(run_config(), digits), start(run_config(label_smoothing=0.3), digits)
    scores = [evaluate(run.network, digits.test, digits, run.config.training.precision) for run in (plain, smoothed)]
    assert scores[0] == scores[1]


def test_images_that_are_all_known_score_1(digits):
    class Oracle(torch.nn.Module):
        def forward(self, images):
            return 100 * F.one_hot(labels[: len(images)], 10).float()

    labels = digits.validation.labels
    score = evaluate(Oracle(), digits.validation, digits, "fp32")
    assert (score.accuracy, score.loss) == (1.0, pytest.approx(0.0, abs=1e-6))
    wrong = dataclasses.replace(digits.validation, labels=(labels + 1) % 10)
    assert evaluate(Oracle(), wrong, digits, "fp32").accuracy == 0.0
