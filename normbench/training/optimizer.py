"""Optimizer and learning-rate schedule."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from normbench.config import TrainingConfig
from normbench.config.settings import Schedule
from normbench.networks import norm_parameters


def decayed(network: nn.Module, config: TrainingConfig) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that weight decay and L1 fall on, and the others: those of the norms without `decay_norms`."""
    exempt = set() if config.decay_norms else set(map(id, norm_parameters(network)))
    parameters = list(network.parameters())
    return [p for p in parameters if id(p) not in exempt], [p for p in parameters if id(p) in exempt]


def make_optimizer(network: nn.Module, config: TrainingConfig, capturable: bool = False) -> Optimizer:
    """The optimizer over every parameter; no norm gets a treatment of its own.

    Args:
        network: Whose parameters are trained.
        config: Which optimizer, learning rate, momentum and weight decay.
        capturable: Whether a captured step is to run it: then it is one kernel, and the learning rate a tensor that
            this kernel reads, since a captured number would never change again.
    """
    penalized, exempt = decayed(network, config)
    groups: list[dict[str, Any]] = [{"params": penalized}]
    if exempt:
        groups.append({"params": exempt, "weight_decay": 0.0})
    if capturable:  # a tensor for each group, since a schedule writes into that of each
        groups = [group | {"lr": torch.tensor(config.lr, device=group["params"][0].device)} for group in groups]
    shared: dict[str, Any] = {
        "lr": config.lr,
        "weight_decay": config.weight_decay,
        "fused": True if capturable else None,
    }
    match config.optimizer:
        case "sgd":
            nesterov = config.nesterov and config.momentum > 0  # torch refuses Nesterov without momentum
            return SGD(groups, momentum=config.momentum, nesterov=nesterov, **shared)
        case "adam":
            return Adam(groups, capturable=capturable, **shared)
        case "adamw":
            return AdamW(groups, capturable=capturable, **shared)


EVERY_STEP: frozenset[Schedule] = frozenset({"onecycle", "linear", "cyclic"})
"""Schedules that advance every step instead of every epoch."""


def make_schedule(optimizer: Optimizer, config: TrainingConfig, steps: int) -> tuple[LRScheduler, bool]:
    """The schedule of a config, and whether it advances every step instead of every epoch.

    Args:
        optimizer: Whose learning rate is scheduled.
        config: Which schedule, and its settings.
        steps: Training steps in an epoch.
    """
    total = steps * config.epochs
    schedules: dict[Schedule, Callable[[], LRScheduler]] = {
        "step": lambda: StepLR(optimizer, config.step_size, config.gamma),
        "constant": lambda: ConstantLR(optimizer, factor=1.0),
        "cosine": lambda: CosineAnnealingLR(optimizer, T_max=config.epochs),
        # Without cycles of the momentum, here and below: the config's stands.
        "onecycle": lambda: OneCycleLR(optimizer, config.lr, total_steps=total, cycle_momentum=False),
        "linear": lambda: LambdaLR(optimizer, LinearWarmupDecay(total, config.warmup)),
        "plateau": lambda: _plateau(optimizer, config),
        "cyclic": lambda: CyclicLR(
            optimizer,
            base_lr=config.cycle_base * config.lr,
            max_lr=config.lr,
            step_size_up=total / (2 * config.cycles),  # type: ignore[arg-type]  # torch computes with a float
            cycle_momentum=False,
        ),
    }
    return schedules[config.schedule](), config.schedule in EVERY_STEP


def _plateau(optimizer: Optimizer, config: TrainingConfig) -> LRScheduler:
    if config.gamma == 1:  # torch refuses a factor that leaves the rate as it is
        return ConstantLR(optimizer, factor=1.0)
    return ReduceLROnPlateau(optimizer, factor=config.gamma, patience=config.patience)


def end_epoch(schedule: LRScheduler, loss: float) -> None:
    """Advance a schedule that advances every epoch.

    Args:
        schedule: Of `make_schedule`.
        loss: Of the epoch, which `plateau` watches: that of the validation split, or where there is none the training
            loss.
    """
    if isinstance(schedule, ReduceLROnPlateau):
        schedule.step(loss)
    else:
        schedule.step()


class LinearWarmupDecay:
    """Factor on the learning rate: up to 1 over the first steps, then down to zero after the last, both linearly.

    Args:
        steps: Of the whole training.
        warmup: Fraction of them in which the factor rises.
    """

    def __init__(self, steps: int, warmup: float) -> None:
        self.steps = steps
        self.rising = round(warmup * steps)

    def __call__(self, step: int) -> float:
        """Return the factor of a step, counted from 0."""
        if step < self.rising:
            return (step + 1) / (self.rising + 1)
        return max(0, self.steps - step) / (self.steps - self.rising)


class RateTable:
    """Learning rates of a schedule that advances every step, on the device: the step itself goes on to the next one.

    Left to the schedule, 15 runs took 0.8 ms of the host for every step.

    Args:
        optimizer: Whose learning rates, tensors, are set.
        schedule: Is told at the end of an epoch how far the training is.
        config: Which schedule, and its settings.
        steps: Training steps in an epoch.
    """

    def __init__(self, optimizer: Optimizer, schedule: LRScheduler, config: TrainingConfig, steps: int) -> None:
        self.schedule, self.config, self.steps = schedule, config, steps
        self.rates = [group["lr"] for group in optimizer.param_groups]
        device = self.rates[0].device
        self.table = torch.tensor(_rates(config, steps), dtype=torch.float32, device=device)
        self.position = torch.zeros(1, dtype=torch.int64, device=device)

    def begin(self, steps_done: int) -> None:
        """Stand where so many steps of the training have been taken."""
        self.position.fill_(steps_done)

    def advance(self) -> None:
        """Set the rate of the next step: work of the device alone."""
        self.position += 1
        rate = self.table.index_select(0, self.position)[0]
        for tensor in self.rates:
            tensor.copy_(rate)

    def settle(self, steps_done: int) -> None:
        """Tell the schedule what it would have counted itself, so that its state can be saved."""
        self.schedule.last_epoch = steps_done
        self.schedule._step_count = steps_done + 1
        self.schedule._last_lr = [_rates(self.config, self.steps)[steps_done]] * len(self.rates)


@lru_cache(maxsize=4)
def _rates(config: TrainingConfig, steps: int) -> tuple[float, ...]:
    """The learning rate of every step of a training, and of one more, from torch's own schedule."""
    optimizer = SGD([torch.zeros(1)], lr=config.lr)
    schedule, _ = make_schedule(optimizer, config, steps)
    optimizer.step()  # torch warns of a schedule that is ahead of its optimizer
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps * config.epochs):
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return tuple(rates)


COMPUTATION = ("fused", "capturable")
"""Entries of a group of parameters that say how an update is computed, and not what it is."""


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over moments and learning rate from a saved state; how the update is computed stays this device's.

    Raises:
        Exception: It is the state of another optimizer, or of other parameters.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    # Before torch reads them: the counts of Adam's steps move to where a captured step needs them.
    computation = [{name: group[name] for name in COMPUTATION if name in group} for group in optimizer.param_groups]
    saved_groups = [saved | own for saved, own in zip(state["param_groups"], computation, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": saved_groups})
    if any(optimizer.defaults.keys() - group.keys() for group in optimizer.param_groups):
        raise ValueError("it is the state of another optimizer")
    for parameter, kept in optimizer.state.items():
        shapes = {value.shape for name, value in kept.items() if isinstance(value, Tensor) and name != "step"}
        if shapes - {parameter.shape}:
            raise ValueError("the moments in it are those of other parameters")
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        saved = float(group["lr"])
        # The tensor must stay the one that a captured step reads.
        group["lr"] = lr.fill_(saved) if isinstance(lr, Tensor) else saved
