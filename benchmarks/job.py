"""Job of every contender: the same network, images, batch size, optimizer, schedule and precision."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, StepLR

from benchmarks.records import Setup
from normbench import networks
from normbench.config import MachineConfig, RunConfig
from normbench.data import DataSet


@dataclass(frozen=True)
class Job:
    """One contender's work; settings that a contender has no use for are left alone."""

    config: RunConfig
    machine: MachineConfig
    device: torch.device
    setup: Setup
    laps: int
    """Times that the clock runs: the warm-up, then every timed epoch."""
    fleet: tuple[RunConfig, ...] = ()
    """The runs of the fleet; each of its laps trains them all from the start."""

    def network(self, data: DataSet) -> nn.Module:
        """The network with the weights that the config's seed draws, on the CPU."""
        return networks.build_for(self.config, len(data.classes))

    def sgd(self) -> dict[str, Any]:
        """Arguments of `torch.optim.SGD`, as normbench sets them."""
        training = self.config.training
        return {
            "lr": training.lr,
            "momentum": training.momentum,
            "nesterov": training.nesterov,
            "weight_decay": training.weight_decay,
        }

    def optimizer(self, network: nn.Module) -> tuple[torch.optim.SGD, LRScheduler]:
        """SGD and StepLR, as a tutorial makes them."""
        training = self.config.training
        optimizer = torch.optim.SGD(network.parameters(), **self.sgd())
        return optimizer, StepLR(optimizer, training.step_size, training.gamma)

    def images(self, data: DataSet) -> int:
        """Images in an epoch: full batches only, in every contender."""
        size = self.config.training.batch_size
        return len(data.train) // size * size


def setups(device: torch.device, threads: int, cores: int, workers: tuple[int, ...] | None = None) -> list[Setup]:
    """List the setups to try for a contender with a DataLoader; the fastest is kept.

    On the CPU the workers take their cores from torch's threads, since threads that outnumber the cores wait
    for each other.
    """
    if device.type == "cuda":
        counts = workers or [count for count in (4, 8, 16) if count <= cores] or [cores]
        return [Setup(threads=threads, workers=count) for count in counts]
    counts = workers or [count for count in (0, 1, 2, 4) if count <= cores]
    return [Setup(threads=max(1, threads - count), workers=count) for count in counts]
