"""SGD and its learning-rate schedule."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from normbench.config import TrainingConfig


def make_optimizer(network: nn.Module, config: TrainingConfig, capturable: bool = False) -> SGD:
    """SGD over every parameter alike: no norm gets a treatment of its own.

    Args:
        network: Whose parameters are trained.
        config: Learning rate, momentum and weight decay.
        capturable: Whether a captured step is to run it: then it is one kernel, and the learning rate a tensor that
            this kernel reads, since a captured number would never change again.
    """
    return SGD(
        network.parameters(),
        lr=torch.tensor(config.lr, device=next(network.parameters()).device) if capturable else config.lr,
        fused=True if capturable else None,
        momentum=config.momentum,
        nesterov=config.nesterov and config.momentum > 0,  # torch refuses Nesterov without momentum
        weight_decay=config.weight_decay,
    )


def make_schedule(optimizer: SGD, config: TrainingConfig, steps: int) -> tuple[LRScheduler, bool]:
    """The schedule of a config, and whether it advances every step (one-cycle) instead of every epoch.

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


def load_optimizer(optimizer: SGD, state: dict[str, Any]) -> None:
    """Take over momentum and learning rate from a saved state; how the update is computed stays this device's."""
    (group,) = optimizer.param_groups
    lr, fused = group["lr"], group["fused"]
    optimizer.load_state_dict(state)
    (group,) = optimizer.param_groups
    saved = float(group["lr"])
    # The tensor must stay the one that a captured step reads.
    group |= {"lr": lr.fill_(saved) if isinstance(lr, Tensor) else saved, "fused": fused}
