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
    """Work of one contender; it ignores settings that it has no use for."""

    config: RunConfig
    machine: MachineConfig
    device: torch.device
    setup: Setup
    laps: int
    """Number of laps of the clock: the warm-up, then every timed epoch."""
    group: tuple[RunConfig, ...] = ()
    """Runs of the run group; each lap trains all of them from scratch."""

    def network(self, data: DataSet) -> nn.Module:
        """Build the network with the initial weights of the config's seed, on the CPU."""
        return networks.build_for(self.config, len(data.classes))

    def sgd(self) -> dict[str, Any]:
        """Return the arguments of `torch.optim.SGD`, as normbench sets them."""
        training = self.config.training
        return {
            "lr": training.lr,
            "momentum": training.momentum,
            "nesterov": training.nesterov,
            "weight_decay": training.weight_decay,
        }

    def optimizer(self, network: nn.Module) -> tuple[torch.optim.SGD, LRScheduler]:
        """Make SGD and StepLR, as in a tutorial."""
        training = self.config.training
        optimizer = torch.optim.SGD(network.parameters(), **self.sgd())
        return optimizer, StepLR(optimizer, training.step_size, training.gamma)

    def images(self, data: DataSet) -> int:
        """Count the images of an epoch: full batches only, for every contender."""
        size = self.config.training.batch_size
        return len(data.train) // size * size


def setups(device: torch.device, threads: int, cores: int, workers: tuple[int, ...] | None = None) -> list[Setup]:
    """List the setups to try for a contender with a DataLoader; the fastest is kept.

    On the CPU each worker reduces the threads of torch by one, as threads beyond the number of cores wait for each
    other.
    """
    if device.type == "cuda":
        counts = workers or [count for count in (4, 8, 16) if count <= cores] or [cores]
        return [Setup(threads=threads, workers=count) for count in counts]
    counts = workers or [count for count in (0, 1, 2, 4) if count <= cores]
    return [Setup(threads=max(1, threads - count), workers=count) for count in counts]
