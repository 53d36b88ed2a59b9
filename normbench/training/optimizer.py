"""SGD and its learning-rate schedule."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, StepLR

from normbench.config import TrainingConfig
from normbench.networks import norm_parameters


def decayed(network: nn.Module, config: TrainingConfig) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that weight decay and L1 fall on, and the others: those of the norms without `decay_norms`."""
    exempt = set() if config.decay_norms else set(map(id, norm_parameters(network)))
    parameters = list(network.parameters())
    return [p for p in parameters if id(p) not in exempt], [p for p in parameters if id(p) in exempt]


def make_optimizer(network: nn.Module, config: TrainingConfig, capturable: bool = False) -> SGD:
    """SGD over every parameter; no norm gets a treatment of its own.

    Args:
        network: Whose parameters are trained.
        config: Learning rate, momentum and weight decay.
        capturable: Whether a captured step is to run it: then it is one kernel, and the learning rate a tensor that
            this kernel reads, since a captured number would never change again.
    """
    penalized, exempt = decayed(network, config)
    groups: list[dict[str, Any]] = [{"params": penalized}]
    if exempt:
        groups.append({"params": exempt, "weight_decay": 0.0})
    if capturable:  # a tensor for each group, since a schedule writes into that of each
        groups = [group | {"lr": torch.tensor(config.lr, device=group["params"][0].device)} for group in groups]
    return SGD(
        groups,
        lr=config.lr,
        fused=True if capturable else None,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,  # torch refuses Nesterov without momentum
        weight_decay=config.weight_decay,
    )


def make_schedule(optimizer: SGD, config: TrainingConfig, steps: int) -> tuple[LRScheduler, bool]:
    """The schedule of a config, and whether it advances every step (one-cycle, linear) instead of every epoch.

    Args:
        optimizer: Whose learning rate is scheduled.
        config: Which schedule, and its settings.
        steps: Training steps in an epoch.
    """
    match config.schedule:
        case "step":
            return StepLR(optimizer, config.step_size, config.gamma), False
        case "constant":
            return ConstantLR(optimizer, factor=1.0), False
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=config.epochs), False
        case "onecycle":
            return OneCycleLR(
                optimizer,
                config.lr,
                total_steps=steps * config.epochs,
                cycle_momentum=False,  # the config's momentum stands
            ), True
        case "linear":
            return LambdaLR(optimizer, LinearWarmupDecay(steps * config.epochs, config.warmup)), True


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

    def __init__(self, optimizer: SGD, schedule: LRScheduler, config: TrainingConfig, steps: int) -> None:
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


def load_optimizer(optimizer: SGD, state: dict[str, Any]) -> None:
    """Take over momentum and learning rate from a saved state; how the update is computed stays this device's.

    Raises:
        Exception: It is the state of another optimizer, or of other parameters.
    """
    own = [(group["lr"], group["fused"]) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for parameter, kept in optimizer.state.items():
        if any(isinstance(value, Tensor) and value.shape != parameter.shape for value in kept.values()):
            raise ValueError("the momentum in it is that of other parameters")
    for group, (lr, fused) in zip(optimizer.param_groups, own, strict=True):
        saved = float(group["lr"])
        # The tensor must stay the one that a captured step reads.
        group |= {"lr": lr.fill_(saved) if isinstance(lr, Tensor) else saved, "fused": fused}
