"""A step of each optimizer is the step on paper, with L2, L1 and label smoothing; rates follow their formula."""

import copy
import itertools
import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from helpers.small import run_config, start, train_epoch, weights

from normbench.config import TrainingConfig
from normbench.config.settings import Optimizer, Schedule
from normbench.training import DivergedError
from normbench.training.optimizer import LinearWarmupDecay, end_epoch, make_schedule

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


def adam_by_hand(network, batches, config):
    """Adam as arXiv:1412.6980 has it in algorithm 1, AdamW's decay as arXiv:1711.05101 has it in algorithm 2."""
    first, second = ({name: torch.zeros_like(p) for name, p in network.named_parameters()} for _ in range(2))
    decoupled = config.optimizer == "adamw"
    network.train()
    for step, (images, labels) in enumerate(batches, start=1):
        network.zero_grad()
        losses(network, images, labels, config.label_smoothing).backward()
        with torch.no_grad():
            for name, weight in network.named_parameters():
                slope = weight.grad + config.l1 * weight.sign()
                if decoupled:
                    weight.mul_(1 - config.lr * config.weight_decay)
                else:
                    slope = slope + config.weight_decay * weight
                first[name] = 0.9 * first[name] + 0.1 * slope
                second[name] = 0.999 * second[name] + 0.001 * slope**2
                corrected = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                weight.sub_(config.lr * corrected[0] / (corrected[1].sqrt() + 1e-8))
    return dict(network.named_parameters())


ADAM = {
    "plain": {"weight_decay": 0.0},
    "decay": {"weight_decay": 0.5},
    "all": {"weight_decay": 0.5, "l1": 0.01, "label_smoothing": 0.1},
}


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("settings", ADAM.values(), ids=ADAM)
def test_an_epoch_of_adam_is_the_one_on_paper(settings, optimizer, digits):
    """Far from 0: where a gradient is all rounding, Adam makes a whole step of it."""
    config = run_config("gn", optimizer=optimizer, lr=1e-3, schedule="constant", **settings)
    training = start(config, digits)
    expected = adam_by_hand(copy.deepcopy(training.network), training.batches.epoch(1), config.training)
    before = weights(training)
    train_epoch(training, 1)
    for name, parameter in training.network.named_parameters():
        error, moved = (parameter - expected[name]).norm(), (parameter - before[name]).norm()
        assert error < 1e-3 * moved, name


def test_adam_and_adamw_differ_by_their_decay_alone(digits):
    def end(optimizer, weight_decay):
        settings = {"weight_decay": weight_decay, "momentum": 0.1, "nesterov": False}
        training = start(run_config("gn", optimizer=optimizer, lr=1e-3, **settings), digits)
        train_epoch(training, 1)
        return weights(training)["C4.conv.weight"]

    assert torch.equal(end("adam", 0.0), end("adamw", 0.0))
    assert not torch.equal(end("adam", 0.5), end("adamw", 0.5))


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("capturable", [False, True])
def test_every_optimizer_takes_a_setting_per_group_and_a_rate_per_schedule(optimizer, capturable, digits):
    config = run_config("gn", optimizer=optimizer, lr=1e-3, decay_norms=False, weight_decay=0.1)
    training = start(config, digits, capturable)
    assert [group["weight_decay"] for group in training.optimizer.param_groups] == [0.1, 0.0]
    train_epoch(training, 1)
    assert {type(group["lr"]) for group in training.optimizer.param_groups} == {torch.Tensor if capturable else float}


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


def cyclic(done):
    """Two triangles over all steps, between a quarter of the rate and the rate."""
    place = done / (STEPS * EPOCHS) * 2 % 1
    return LR * (0.25 + 0.75 * (1 - abs(1 - 2 * place)))


RATES = {
    "constant": lambda epoch: LR,
    "step": lambda epoch: LR * 0.5 ** ((epoch - 1) // 3),
    "cosine": lambda epoch: LR * (1 + math.cos(math.pi * (epoch - 1) / EPOCHS)) / 2,
    "onecycle": lambda epoch: one_cycle((epoch - 1) * STEPS),
    "linear": lambda epoch: linear((epoch - 1) * STEPS),
    "cyclic": lambda epoch: cyclic((epoch - 1) * STEPS),
}


def test_every_schedule_but_that_of_the_loss_has_its_formula_above():
    assert {*RATES, "plateau"} == set(get_args(Schedule))


@pytest.mark.parametrize("schedule", RATES)
def test_the_learning_rate_of_every_epoch_follows_its_formula(schedule, digits):
    config = run_config("gn", lr=LR, epochs=EPOCHS, schedule=schedule, step_size=3, gamma=0.5)
    training = start(config, digits)
    rates = [train_epoch(training, epoch).lr for epoch in range(1, EPOCHS + 1)]
    assert rates == pytest.approx([RATES[schedule](epoch) for epoch in range(1, EPOCHS + 1)], rel=1e-6)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("schedule", RATES)
def test_so_it_does_with_every_optimizer_and_captured(schedule, optimizer, digits):
    config = run_config("gn", optimizer=optimizer, lr=LR, epochs=EPOCHS, schedule=schedule, step_size=3, gamma=0.5)
    training = start(config, digits, capturable=True)
    rates = [train_epoch(training, epoch).lr for epoch in (1, 2, 3, 4)]
    assert rates == pytest.approx([RATES[schedule](epoch) for epoch in (1, 2, 3, 4)], rel=1e-6)


@pytest.mark.parametrize("schedule", get_args(Schedule))
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


@pytest.mark.parametrize(("cycles", "base"), [(1, 0.0), (2, 0.25), (3, 0.5)])
def test_the_cyclic_schedule_ends_where_it_began_after_its_cycles(cycles, base):
    config = TrainingConfig(schedule="cyclic", lr=1.0, epochs=2, cycles=cycles, cycle_base=base)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule, every_step = make_schedule(optimizer, config, steps=30)
    rates = [schedule.get_last_lr()[0]]
    for _ in range(60):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
    assert every_step
    assert rates[0] == pytest.approx(base)
    assert rates[-1] == pytest.approx(base)
    peaks = [step for step in range(1, 60) if rates[step - 1] < rates[step] > rates[step + 1]]
    assert peaks == [round(60 / cycles * (0.5 + cycle)) for cycle in range(cycles)]
    assert [rates[step] for step in peaks] == pytest.approx([1.0] * cycles)


def rates_on_a_plateau(losses, patience, gamma):
    """The rate after each epoch: times gamma after more than `patience` epochs in a row without a lower loss."""
    rate, lowest, waited, rates = 1.0, math.inf, 0, []
    for loss in losses:
        waited = 0 if loss < lowest * (1 - 1e-4) else waited + 1
        lowest = min(lowest, loss) if not waited else lowest
        if waited > patience:
            rate, waited = rate * gamma, 0
        rates.append(rate)
    return rates


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("gamma", [0.2, 0.5, 1.0])
def test_a_plateau_lowers_the_rate_after_its_patience(patience, gamma):
    config = TrainingConfig(schedule="plateau", lr=1.0, patience=patience, gamma=gamma)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule, every_step = make_schedule(optimizer, config, steps=3)
    losses = [2.0, 1.5, 1.6, 1.49999, 1.4, 1.4, 1.4, 1.41, 1.3, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5]
    rates = []
    optimizer.step()
    for loss in losses:
        end_epoch(schedule, loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert not every_step
    assert rates == pytest.approx(rates_on_a_plateau(losses, patience, gamma))


@pytest.mark.parametrize("split", [True, False])
def test_a_plateau_watches_the_validation_loss_or_without_a_split_the_training_loss(split, digits):
    data = replace(digits, test=None, validation=digits.validation or digits.train if split else None)
    training = start(run_config("gn", schedule="plateau", epochs=3), data)
    rows = [train_epoch(training, epoch) for epoch in (1, 2, 3)]
    seen = [row.validation_loss if split else row.train_running_loss for row in rows]
    assert training.schedule.best == min(seen)


def test_a_run_that_diverges_on_a_plateau_says_so(digits):
    training = start(run_config("gn", schedule="plateau", lr=1e30), digits)
    with pytest.raises(DivergedError):
        train_epoch(training, 1)
