"""timm: its loader with the prefetcher, optimizer factory, scheduler and meters, in a loop as in its train script."""

import torch
from timm.data import create_loader
from timm.data.transforms import MaybePILToTensor
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter
from torch import nn
from torchvision import transforms

from benchmarks.contenders.pictures import Pictures, augmentation, pixel_statistics
from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet
from normbench.device import autocast


def train(job: Job, data: DataSet, clock: Clock) -> None:
    """Train one network with timm's defaults, unless they would change the training."""
    network = job.network(data)
    pictures = Pictures(data)
    clock.begin(network, data)
    loader = _loader(job, pictures, data)
    network.to(job.device)
    training, sgd = job.config.training, job.sgd()
    optimizer = create_optimizer_v2(
        network,
        opt="sgd" if sgd.pop("nesterov") else "momentum",
        filter_bias_and_bn=False,  # decay on every parameter, as in the other contenders
        **sgd,
    )
    scheduler, _ = create_scheduler_v2(
        optimizer, "step", num_epochs=job.laps, decay_epochs=training.step_size, decay_rate=training.gamma
    )
    loss_function = nn.CrossEntropyLoss().to(job.device)
    network.train()
    for epoch in range(job.laps):
        clock.start()
        losses = AverageMeter()
        for batch, (images, labels) in enumerate(loader):
            with autocast(job.device, training.precision):
                loss = loss_function(network(images), labels)
            losses.update(loss.item(), images.size(0))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step_update(num_updates=epoch * len(loader) + batch + 1, metric=losses.avg)
        scheduler.step(epoch + 1, losses.avg)
        clock.stop(losses.avg)


def _loader(job: Job, pictures: Pictures, data: DataSet) -> torch.utils.data.DataLoader:
    mean, std = pixel_statistics(data)
    loader = create_loader(
        pictures,
        input_size=tuple(data.train.images.shape[1:]),
        batch_size=job.config.training.batch_size,
        is_training=True,
        mean=mean,
        std=std,
        num_workers=job.setup.workers,
        pin_memory=job.device.type == "cuda",
        device=job.device,
        use_prefetcher=True,
    )
    # timm's crops resize; all contenders use the same padded crop. The prefetcher normalizes on the device.
    pictures.transform = transforms.Compose([*augmentation(job, data), MaybePILToTensor()])
    return loader
