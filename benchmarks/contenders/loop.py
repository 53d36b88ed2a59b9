"""The usual loop: torchvision's CIFAR10, transforms per image, a DataLoader, the loss read every step."""

import torch
import torch.nn.functional as F

from benchmarks.contenders.pictures import Pictures, data_loader
from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.device import autocast


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train with the loop of a tutorial."""
    _train(job, data, clock, tuned=False)


def train_tuned(job: Job, data: DataSet, clock: Clock) -> None:
    """Train with two cheap improvements: channels_last, and the loss read once per epoch."""
    _train(job, data, clock, tuned=True)


def _train(job: Job, data: DataSet, clock: Clock, tuned: bool) -> None:
    network = job.network(data)
    pictures = Pictures(data)
    clock.begin(network, data)
    layout = torch.channels_last if tuned else torch.preserve_format
    loader = data_loader(job, pictures, data)
    network.to(job.device, memory_format=layout)
    optimizer, scheduler = job.optimizer(network)
    network.train()
    for _ in range(job.laps):
        clock.start()
        total: torch.Tensor | float = 0.0
        for batch, targets in loader:
            images = batch.to(job.device, non_blocking=True, memory_format=layout)
            labels = targets.to(job.device, non_blocking=True)
            with autocast(job.device, job.config.training.precision):
                logits = network(images)
                loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() if tuned else loss.item()
        scheduler.step()
        clock.stop(float(total) / len(loader))
