"""airbench: its loader, which keeps and augments all images on the device in float16, and the steps of its loop.

Its own training is that of its own networks; here its loop trains the network of the others, with their optimizer and
schedule: in float16 with BatchNorm in float32, channels_last, a loss of each image, and nothing read until the end of
an epoch. Its crops pad by reflection.
"""

import tempfile
from pathlib import Path

import torch
from airbench import CifarLoader
from torch import nn
from torchvision import transforms

from benchmarks.contenders.pictures import pixel_statistics
from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.networks import norm_layers


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train one network, epoch by epoch; the images are on the device, as airbench has them, before the first."""
    network = job.network(data)
    clock.begin(network, data)
    loader = _loader(job, data)
    network.to(job.device).half().to(memory_format=torch.channels_last)
    for norm in norm_layers(network).values():
        if isinstance(norm, nn.BatchNorm2d):
            norm.float()
    optimizer, scheduler = job.optimizer(network)
    loss_function = nn.CrossEntropyLoss(reduction="none")
    network.train()
    for _ in range(job.laps):
        clock.start()
        total = torch.zeros((), device=job.device)
        for images, labels in loader:
            loss = loss_function(network(images), labels).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        scheduler.step()
        clock.stop(total.item() / len(loader))


def _loader(job: Job, data: DataSet) -> CifarLoader:
    """Make airbench's loader over the images that normbench trains on; it reads them from a file of its format."""
    augmentation = {"flip": job.config.data.flip and data.flips, "translate": job.config.data.crop_padding}
    with tempfile.TemporaryDirectory() as folder:
        document = {
            "images": data.train.images.cpu().permute(0, 2, 3, 1).contiguous(),
            "labels": data.train.labels.cpu(),
            "classes": list(data.classes),
        }
        torch.save(document, Path(folder) / "train.pt")
        loader = CifarLoader(folder, batch_size=job.config.training.batch_size, aug=augmentation, gpu=job.device)
    loader.normalize = transforms.Normalize(*pixel_statistics(data))
    return loader
