"""One SGD step is the step on paper: momentum, L2, L1 and label smoothing; and learning rates follow their formula."""

import copy
import itertools
import math

import pytest
import torch
from helpers.small import run_config, start, train_epoch, weights

from normbench.training.optimizer import LinearWarmupDecay

LR, EPOCHS, STEPS = 0.05, 8, 3


def losses(network, images, labels, smoothing):
    """Cross-entropy with label smoothing, from its definition."""
    log = network(images).log_softmax(1)
    target = torch.full_like(log, smoothing / 10)
    target[torch.arange(len(labels)), labels] += 1 - smoothing
    return -(target * log).sum(1).mean()


def by_hand(network, batches, config):
    """SGD as it is written down, over one epoch's batches."""
    velocity = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}
    network.train()
    for step, (images, labels) in enumerate(batches):
        network.zero_grad()
        losses(network, images, labels, config.label_smoothing).backward()
        with torch.no_grad():
            for name, weight in network.named_parameters():
                slope = weight.grad + config.weight_decay * weight + config.l1 * weight.sign()
                velocity[name] = config.momentum * velocity[name] + slope if step else slope.clone()
                nesterov = config.nesterov and config.momentum > 0
                weight.sub_(config.lr * (slope + config.momentum * velocity[name] if nesterov else velocity[name]))
    return dict(network.named_parameters())


SETTINGS = {
    "plain": {"momentum": 0.0, "weight_decay": 0.0},
    "momentum": {"momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
    "nesterov is nothing without momentum": {"momentum": 0.0, "nesterov": True, "weight_decay": 0.1},
    "l2": {"momentum": 0.0, "weight_decay": 0.1},
    "l1": {"momentum": 0.0, "weight_decay": 0.0, "l1": 0.01},
    "smoothing": {"momentum": 0.0, "weight_decay": 0.0, "label_smoothing": 0.2},
    "all": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "l1": 0.01, "label_smoothing": 0.1},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_epoch_of_sgd_is_the_one_on_paper(settings, digits):
    config = run_config("gn", lr=LR, schedule="constant", **settings)
    training = start(config, digits)
    expected = by_hand(copy.deepcopy(training.network), training.batches.epoch(1), config.training)
    train_epoch(training, 1)
    for name, parameter in training.network.named_parameters():
        torch.testing.assert_close(parameter, expected[name], rtol=1e-5, atol=1e-6, msg=name)


def test_every_setting_of_sgd_changes_the_weights(digits):
    ends = []
    for name in ("plain", "momentum", "nesterov", "l2", "l1", "smoothing"):
        training = start(run_config("gn", lr=LR, **SETTINGS[name]), digits)
        train_epoch(training, 1)
        ends.append(weights(training)["C4.conv.weight"])
    for one, other in itertools.combinations(ends, 2):
        assert (one - other).abs().max() > 1e-4


def test_the_norms_parameters_decay_like_all_others(digits):
    training = start(run_config("gn"), digits)
    (group,) = training.optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in training.network.parameters()}


@pytest.mark.parametrize("norm", ["bn", "ln-chw", "rms", "lrn", "none", "none+ws"])
@pytest.mark.parametrize("name", ["c10", "dwnet"])
def test_without_decay_norms_neither_decay_nor_l1_falls_on_what_the_norms_learn(norm, name, digits):
    """Compared with a step without any decay: what the norms learn moves alike, everything else does not."""
    ends = []
    network = {"name": name, "widths": None}
    for settings in ({"weight_decay": 0.1, "l1": 0.01, "decay_norms": False}, {"weight_decay": 0.0}):
        config = run_config(norm, **settings)
        config = config.model_copy(update={"network": config.network.model_copy(update=network)})
        training = start(config, digits)
        with torch.no_grad():  # decay of zeros would show nothing
            for parameter in training.network.parameters():
                parameter.add_(0.02)
        training.step(*next(iter(training.batches.epoch(1))))
        ends.append(weights(training))
    stand_in = ("conv.bias", "conv.1.bias") if norm in {"none", "none+ws", "lrn"} else ()
    kept = {name for name, tensor in ends[0].items() if torch.equal(tensor, ends[1][name])}
    learned = {name for name, _ in training.network.named_parameters()}
    assert kept & learned == {name for name in learned if ".norm." in name or name.endswith(stand_in)}


def test_without_decay_norms_a_killed_training_goes_on_as_if_it_had_not_been(digits):
    config = run_config("gn", epochs=2, schedule="onecycle", weight_decay=0.1, decay_norms=False)
    whole = start(config, digits)
    train_epoch(whole, 1)
    resumed = start(config, digits)
    resumed.load_state(copy.deepcopy(whole.state()))
    train_epoch(whole, 2)
    train_epoch(resumed, 2)
    assert all(torch.equal(tensor, weights(resumed)[name]) for name, tensor in weights(whole).items())
    assert len({group["lr"] for group in resumed.optimizer.param_groups}) == 1


def test_the_running_loss_is_the_smoothed_one_without_the_l1_penalty(digits):
    training = start(run_config("gn", l1=0.5, label_smoothing=0.2), digits)
    images, labels = next(iter(training.batches.epoch(1)))
    expected = losses(copy.deepcopy(training.network), images, labels, 0.2).item()
    training.step(images, labels)
    assert training.totals[0].item() == pytest.approx(expected, rel=1e-5)


def one_cycle(done):
    """Smith's one-cycle rate after `done` of all steps: a cosine up over 30 % of them, and one down to almost 0."""
    first, last = LR / 25, LR / 25 / 1e4
    peak, end = 0.3 * STEPS * EPOCHS - 1, STEPS * EPOCHS - 1

    def cosine(start, stop, share):
        return stop + (start - stop) * (1 + math.cos(math.pi * share)) / 2

    return cosine(first, LR, done / peak) if done <= peak else cosine(LR, last, (done - peak) / (end - peak))


def linear(done):
    """Up by equal amounts over a fifth of all steps, then down by equal amounts to zero after the last."""
    steps = STEPS * EPOCHS
    rising = round(0.2 * steps)
    rates = [LR * (step + 1) / (rising + 1) for step in range(rising)]
    rates += [LR * (steps - step) / (steps - rising) for step in range(rising, steps)]
    return rates[done]


RATES = {
    "constant": lambda epoch: LR,
    "step": lambda epoch: LR * 0.5 ** ((epoch - 1) // 3),
    "cosine": lambda epoch: LR * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS)) / 2,
    "onecycle": lambda epoch: one_cycle((epoch - 1) * STEPS),
    "linear": lambda epoch: linear((epoch - 1) * STEPS),
}


@pytest.mark.parametrize("schedule", RATES)
def test_the_learning_rate_of_every_epoch_follows_its_formula(schedule, digits):
    config = run_config("gn", lr=LR, epochs=EPOCHS, schedule=schedule, step_size=3, gamma=0.5)
    training = start(config, digits)
    rates = [train_epoch(training, epoch).lr for epoch in range(1, EPOCHS + 1)]
    assert rates == pytest.approx([RATES[schedule](epoch) for epoch in range(1, EPOCHS + 1)], rel=1e-6)


@pytest.mark.parametrize("schedule", RATES)
@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_momentum_is_what_the_config_says_under_every_schedule(schedule, momentum, digits):
    training = start(run_config("gn", schedule=schedule, momentum=momentum), digits)
    assert training.optimizer.param_groups[0]["momentum"] == momentum
    train_epoch(training, 1)
    assert training.optimizer.param_groups[0]["momentum"] == momentum


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.9])
def test_the_linear_schedule_peaks_after_its_warmup_and_ends_one_step_above_zero(warmup):
    factor, steps = LinearWarmupDecay(40, warmup), 40
    factors = [factor(step) for step in range(steps)]
    assert factors.index(max(factors)) == round(warmup * steps)
    assert max(factors) == 1.0
    assert factors[-1] == pytest.approx(1 / (steps - round(warmup * steps)))
    assert factor(steps) == 0.0
