"""SGD and its learning-rate schedule."""

from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR, StepLR

from normbench.config import TrainingConfig


def make_optimizer(network: nn.Module, config: TrainingConfig) -> SGD:
    """SGD over every parameter alike: no norm gets a treatment of its own."""
    return SGD(
        network.parameters(),
        lr=config.lr,
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
