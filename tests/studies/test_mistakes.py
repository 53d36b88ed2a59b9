"""`normbench mistakes`: each mistake is really made, scored as documented, and separated from chance honestly."""

import copy
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.cli import normbench, refused
from torch import nn

from normbench import data as datasets
from normbench.analysis import compare_pairs
from normbench.config import DataConfig, MachineConfig, Recipe, RunConfig, load_recipe
from normbench.data import DataSet
from normbench.engine.threads import Stopped
from normbench.errors import INTERRUPTED, USAGE
from normbench.studies.mistakes import trials
from normbench.studies.mistakes.bench import Accumulated, Bench, FrozenStatistics, LeftInTraining
from normbench.studies.mistakes.catalog import MISTAKES
from normbench.studies.mistakes.measure import Measurement, measure_mistakes
from normbench.studies.mistakes.sentences import (
    COSTS,
    GAINS,
    NIL,
    NO_SPREAD,
    ONE_SEED,
    UNDECIDED,
    conclusions,
    verdict,
)
from normbench.studies.mistakes.tables import study_result

SMALL = ("--subset", 64, "--epochs", 1, "--batch-size", 16, "--set", "network.widths=[8,8,8,8,8,8,8,8,8,8]")
TRAINED = {"training": {"epochs": 3, "step_size": 2}}


def tiny() -> Recipe:
    widths = (8,) * 10
    return load_recipe(
        "mistakes", {"training": {"epochs": 1, "batch_size": 16}, "network": {"widths": widths}, "seeds": 1}
    )


def digits(images: int) -> DataSet:
    return datasets.load(DataConfig(name="digits", subset=images), MachineConfig(), torch.device("cpu"))


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A BatchNorm network that has learned the digits."""
    return Bench(load_recipe("mistakes", TRAINED), digits(800), seed=0)


@pytest.fixture(scope="module")
def hasty() -> Bench:
    """Few images and one epoch, for what does not depend on what was learned."""
    return Bench(tiny(), digits(64), seed=0)


def test_a_network_left_in_train_mode_stays_there_and_leaves_the_original_alone(bench: Bench) -> None:
    network = bench.trained().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    left = LeftInTraining(network).eval()
    assert all(module.training for module in left.modules() if isinstance(module, nn.BatchNorm2d))
    bench.left_in_training(network, 8)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_predictions_come_back_in_the_order_of_the_images(bench: Bench) -> None:
    """One batch of all images is the same whoever comes first."""
    count = len(bench.test)
    backwards = torch.arange(count - 1, -1, -1)
    forwards = bench.left_in_training(bench.trained(), count)
    assert (forwards == bench.left_in_training(bench.trained(), count, backwards)).float().mean() > 0.99
    assert 0.2 < forwards.float().mean() < 1.0


def test_train_mode_at_the_test_costs_most_where_a_batch_is_of_one_class(bench: Bench) -> None:
    outcome = trials.train_mode(bench)
    assert outcome.right > 0.6
    assert outcome.wrong == outcome.facts["sorted-8"] < outcome.right - 0.3
    assert outcome.facts["sorted-8"] < outcome.facts["shuffled-8"]
    assert float(outcome.facts["changed"]) > 0.2


def test_without_running_statistics_a_network_is_at_chance(bench: Bench) -> None:
    outcome = trials.statistics_not_restored(bench)
    assert outcome.right > 0.6 and outcome.wrong < 0.35
    assert (
        outcome.facts["buffers"] == 2 * 10
    )  # running mean and variance of ten blocks; the count is no key of old states


def test_slow_running_statistics_leave_training_as_it_was(bench: Bench) -> None:
    outcome = trials.slow_statistics(bench)
    assert outcome.right > 0.6 and outcome.wrong < 0.35
    assert outcome.facts["steps"] == 75 and outcome.facts["left"] == pytest.approx(0.999**75)


def test_statistics_fitted_on_all_images_are_those_of_all_images(hasty: Bench) -> None:
    outcome, data = trials.fitted_on_all(hasty), hasty.data
    every = torch.cat([data.train.images, data.test.images]).double()
    moved = (every.mean((0, 2, 3)) - data.train.images.double().mean((0, 2, 3))) / data.std.flatten()
    assert outcome.facts["moved"] == pytest.approx(moved.abs().max().item(), rel=1e-3)


def test_a_bias_before_batch_norm_has_no_gradient_and_no_effect_but_one_before_no_norm_has(hasty: Bench) -> None:
    outcome = trials.bias_before_norm(hasty)
    assert outcome.facts["parameters"] == sum(hasty.recipe.network.widths or ())
    assert float(outcome.facts["gradient"]) < 1e-3
    assert float(outcome.facts["moved"]) < 1e-3
    plain = hasty.network("none")
    biases = [trials.ensure_bias(block) for block in trials.blocks(plain)]
    assert trials.effect_of_biases(hasty, plain, biases) > 0.1


def test_accumulated_gradients_are_those_of_the_micro_batches(hasty: Bench) -> None:
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    labels = torch.arange(6)
    whole, parts = hasty.network().double(), hasty.network().double()
    F.cross_entropy(Accumulated(whole, 2)(images), labels).backward()
    for start in (0, 2, 4):
        (F.cross_entropy(parts(images[start : start + 2]), labels[start : start + 2]) / 3).backward()
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad)


@pytest.fixture
def trainings(hasty: Bench, monkeypatch: pytest.MonkeyPatch) -> list[tuple[nn.Module, RunConfig]]:
    """The networks that a trial gives to training, which is left out, with their settings."""
    calls: list[tuple[nn.Module, RunConfig]] = []

    def train(network: nn.Module, config: RunConfig, _data: DataSet | None = None) -> nn.Module:
        calls.append((network, config))
        return network

    hasty.trained()
    monkeypatch.setattr(hasty, "train", train)
    return calls


def test_a_norm_after_the_activation_is_the_last_layer_of_its_block(
    hasty: Bench, trainings: list[tuple[nn.Module, RunConfig]]
) -> None:
    trials.norm_after_activation(hasty)
    ((network, _),) = trainings
    for block in trials.blocks(network):
        assert [name for name, _ in block.named_children()] == ["conv", "act", "norm"]
    x = torch.randn(4, *trials.blocks(network)[1].get_submodule("conv").weight.shape[1:2], 8, 8)
    out = trials.blocks(network)[1].train()(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(out.shape[1]), atol=1e-5, rtol=0)


def test_mixed_norms_are_drawn_by_the_seed(hasty: Bench, trainings: list[tuple[nn.Module, RunConfig]]) -> None:
    trials.mixed_at_random(hasty)
    trials.mixed_at_random(hasty)
    drawn = [[type(block.get_submodule("norm")) for block in trials.blocks(network)] for network, _ in trainings]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 1


def test_without_a_shift_no_layer_of_a_block_adds_one(
    hasty: Bench, trainings: list[tuple[nn.Module, RunConfig]]
) -> None:
    outcome = trials.no_shift(hasty)
    ((network, _),) = trainings
    assert [name for name, _ in network.named_parameters() if "bias" in name and "C10" not in name] == []
    assert outcome.facts["parameters"] == sum(hasty.recipe.network.widths or ())


def test_frozen_statistics_stay_as_they_were_and_others_follow(bench: Bench) -> None:
    network = bench.trained()
    before = {name: value.clone() for name, value in network.named_buffers() if "running" in name}
    frozen, adapted = FrozenStatistics(copy.deepcopy(network)), copy.deepcopy(network)
    for tuned in (frozen, adapted):
        bench.train(tuned, bench.config("bn", epochs=1, lr=1e-4))
    assert all(torch.equal(value, before[name]) for name, value in frozen.network.named_buffers() if name in before)
    assert not any(torch.equal(value, before[name]) for name, value in adapted.named_buffers() if name in before)


def test_decay_falls_on_the_norms_of_one_network_alone(
    hasty: Bench, trainings: list[tuple[nn.Module, RunConfig]]
) -> None:
    trials.decayed_norms(hasty)
    settings = [config.training for _, config in trainings]
    assert [(each.decay_norms, each.weight_decay) for each in settings] == [(False, 0.005), (True, 0.005)]


def test_another_batch_size_scales_the_learning_rate(hasty: Bench) -> None:
    default, single = hasty.config("gn").training, hasty.config("gn", batch_size=1).training
    assert (single.batch_size, single.lr) == (1, pytest.approx(default.lr / default.batch_size))
    assert "Expected more than 1 value per channel" in trials.single_value_error()


def test_every_mistake_is_made_and_reported_in_figures() -> None:
    notes: list[str] = []
    result = study_result(measure_mistakes(tiny(), digits(64), list(MISTAKES.values()), MachineConfig(), notes.append))
    (costs, lessons), (bars, _) = result.tables, result.charts
    assert [row[0] for row in costs.rows] == [row[0] for row in lessons.rows] == list(bars.ticks) == list(MISTAKES)
    assert len(notes) == len(MISTAKES)
    for mistake, row, values in zip(MISTAKES.values(), lessons.rows, result.values["mistakes"], strict=True):
        assert mistake.wrong_code in row[1] and mistake.right_code in row[1]
        assert "{" not in row[2]
        assert values["difference"] == pytest.approx(values["wrong_accuracy"][0] - values["right_accuracy"][0])
        assert values["verdict"] in {ONE_SEED, NIL}


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ([0.9, 0.91, 0.92, 0.9], [0.5, 0.52, 0.5, 0.51], COSTS),
        ([0.5, 0.52, 0.5, 0.51], [0.9, 0.91, 0.92, 0.9], GAINS),
        ([0.9, 0.8, 0.7, 0.6], [0.6, 0.7, 0.8, 0.95], UNDECIDED),
        ([0.9, 0.8], [0.9, 0.8], NIL),
        ([0.9, 0.8, 0.7], [0.8, 0.7, 0.6], NO_SPREAD),
        ([0.9], [0.1], ONE_SEED),
    ],
)
def test_a_verdict_needs_more_than_a_difference(right: list[float], wrong: list[float], expected: str) -> None:
    accuracies = {"a": dict(enumerate(wrong)), "a: right": dict(enumerate(right))}
    assert verdict(compare_pairs([("a", "a: right")], accuracies)[0]) == expected


def test_concurrent_seeds_give_the_numbers_of_seeds_one_by_one() -> None:
    recipe = tiny().model_copy(update={"seeds": 2})
    alone, together = (
        study_result(measure_mistakes(recipe, digits(64), [MISTAKES["state"]], MachineConfig(jobs=jobs), print))
        for jobs in (1, 2)
    )
    assert alone.values == together.values
    assert "2 seeds trained concurrently" in together.caption and "concurrently" not in alone.caption


def test_a_mistake_that_is_not_separated_names_the_seeds_that_it_would_take() -> None:
    noisy = {"state": {0: 0.6, 1: 0.8, 2: 0.5}, "right": {0: 0.9, 1: 0.9, 2: 0.7}}
    (pair,) = compare_pairs([("state", "right")], noisy)
    measurement = Measurement(tiny(), digits(64), (MISTAKES["state"],), {}, {"state": pair}, "cpu")
    (sentence,) = conclusions(measurement)
    assert f"Not separated from no effect with these seeds: state {-20:+.2f} ± " in sentence
    assert f"({pair.more_seeds} more)" in sentence
    assert sentence.endswith("In brackets: as many more seeds may separate it, if this is its size.")


def test_interrupted_work_stops_within_a_training() -> None:
    calls: list[int] = []

    def interrupted() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stopped

    bench = Bench(tiny(), digits(64), 0, interrupted)
    with pytest.raises(Stopped):
        bench.trained()


def test_an_interruption_says_that_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("normbench.studies.mistakes.measure.measure_mistakes", interrupted)
    refused(normbench("mistakes", *SMALL, "--out", tmp_path), INTERRUPTED, "nothing is kept", "--only NAME")


def test_the_command_keeps_its_result_and_shows_it(tmp_path: Path) -> None:
    command = ("mistakes", *SMALL, "--only", "leak-statistics, state", "--seeds", 2, "--out", tmp_path)
    answer = normbench(*command)
    assert answer.code == 0
    for word in (
        "strict=False",
        "Holm p",
        "Each mistake beside the right way",
        "digits, not CIFAR-10",
        "2 seeds (0-1)",
    ):
        assert word in answer.words
    assert "seed 1 state: right" in " ".join(answer.stderr.split())
    kept = json.loads((tmp_path / "mistakes" / "finding.json").read_text())
    assert [mistake["name"] for mistake in kept["values"]["mistakes"]] == ["state", "leak-statistics"]
    assert (tmp_path / "mistakes" / "plots" / "chart-costs.svg").is_file()
    assert normbench("report", "mistakes", "--out", tmp_path, "--data-dir", tmp_path).code == 0
    again = normbench(*command, "--json").document
    assert again["values"] == kept["values"]  # the same seeds give the same numbers
    assert normbench(*command, "-q").stdout.splitlines()[0].split("\t")[0] == "state"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--only stat", ["unknown mistake 'stat'", "Did you mean 'state'?", "bias"]),
        ("--only ,", ["--only", "names nothing"]),
        ("--seeds 0", ["--seeds 0", "from 1 to 1,000"]),
        ("--subset 99999", ["subset of 99,999", "1,437"]),
        ("--batch-size 900", ["batch of 900", "--batch-size 800"]),
    ],
)
def test_a_bad_setting_is_refused_in_words(arguments: str, words: list[str], tmp_path: Path) -> None:
    refused(normbench("mistakes", *arguments.split(), "--out", tmp_path), USAGE, *words)
    assert list(tmp_path.rglob("finding.json")) == []
