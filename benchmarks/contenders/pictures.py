"""Images as torchvision loads them: PIL images, transformed one by one."""

from collections.abc import Callable, Sequence

import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10, VisionDataset

from benchmarks.job import Job
from normbench.data import DataSet


class Pictures(CIFAR10):
    """torchvision's CIFAR10 with its `__getitem__`, over the images that normbench trains on.

    Its files would give the same arrays; without them, subsets and the digits work as well.
    """

    train = True

    def __init__(self, data: DataSet, transform: Callable | None = None) -> None:
        VisionDataset.__init__(self, root="", transform=transform)
        self.data = data.train.images.cpu().permute(0, 2, 3, 1).contiguous().numpy()
        self.targets = data.train.labels.tolist()


def pixel_statistics(data: DataSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, for pixels from 0 to 1."""
    mean, std = ((statistic / 255).flatten().tolist() for statistic in (data.mean, data.std))
    return tuple(mean), tuple(std)


def augmentation(job: Job, data: DataSet) -> list[Callable]:
    """Make the random crop and flip of the job, as transforms of a PIL image."""
    padding, (height, width) = job.config.data.crop_padding, data.train.images.shape[2:]
    crop = [transforms.RandomCrop((height, width), padding=padding)] if padding else []
    flip = [transforms.RandomHorizontalFlip()] if job.config.data.flip and data.flips else []
    return crop + flip


def data_loader(job: Job, pictures: Pictures, data: DataSet) -> DataLoader:
    """Make the DataLoader of a tutorial: crop, flip, ToTensor, Normalize; workers persist over epochs."""
    final: Sequence[Callable] = (transforms.ToTensor(), transforms.Normalize(*pixel_statistics(data)))
    pictures.transform = transforms.Compose([*augmentation(job, data), *final])
    workers = job.setup.workers
    return DataLoader(
        pictures,
        batch_size=job.config.training.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=job.device.type == "cuda",
        generator=torch.Generator().manual_seed(job.config.seed),
    )
