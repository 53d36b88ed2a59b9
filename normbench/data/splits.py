"""Data sets in memory: splits of uint8 images on the device, and their normalization."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from normbench import randomness
from normbench.config import DataConfig
from normbench.errors import UsageError


@dataclass(frozen=True)
class Split:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64, both on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> "Split":
        """Return the images at an index (M,) as a new split."""
        return Split(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Split":
        """Return the split on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Source:
    """Image set as published, on the CPU: training and test images."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    flips: bool
    """True if a mirrored image keeps its class."""


@dataclass(frozen=True)
class DataSet:
    """Image set on the device: training, validation and test images; the test images are read once, at the end."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    mean: Tensor
    """Mean of each channel, (3, 1, 1), in pixel values 0-255; of the train split alone."""
    std: Tensor
    flips: bool


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Standardize uint8 images (N, 3, H, W) per channel, to float32 in channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(mean).div_(std)


def assemble(source: Source, config: DataConfig, device: torch.device) -> DataSet:
    """Split off the validation images, take the subset, compute mean and deviation, and move to the device.

    The splits depend on the data settings alone, not on the seed of a run: all runs of an experiment share them.

    Raises:
        UsageError: More images are requested than the source has, or the validation split is empty.
    """
    source = resplit(source, config.split_seed)
    order = balanced_order(source.train.labels)
    held_out = round(config.val_split * len(order))
    left = len(order) - held_out
    wanted = config.subset or left
    if wanted > left:
        raise UsageError(
            f"a subset of {wanted:,} images, but {source.name} has {left:,} to train on"
            + (f" beside {held_out:,} held out for validation" if held_out else ""),
            f"Use --subset {left} or less.",
        )
    if config.val_split and not held_out:
        raise UsageError(f"--val-split {config.val_split} of {len(order):,} images is none", "Use --val-split 0.1")
    chosen = source.train.take(order[held_out : held_out + wanted])
    mean, std = channel_statistics(chosen.images)
    return DataSet(
        name=source.name,
        classes=source.classes,
        train=chosen.to(device),
        validation=source.train.take(order[:held_out]).to(device) if held_out else None,
        test=source.test.to(device),
        mean=mean.to(device),
        std=std.to(device),
        flips=source.flips,
    )


def resplit(source: Source, seed: int) -> Source:
    """Redraw training and test images from all of them, stratified, in the same numbers; 0 keeps the split.

    A single published split does not show the variance due to the choice of images, which often exceeds that of the
    initialisation (Bouthillier et al. 2021, arXiv:2103.03098).
    """
    if not seed:
        return source
    both = Split(
        torch.cat([source.train.images, source.test.images]), torch.cat([source.train.labels, source.test.labels])
    )
    order = balanced_order(both.labels, seed)
    test, train = order[: len(source.test)], order[len(source.test) :]
    return replace(source, train=both.take(train), test=both.take(test))


def balanced_order(labels: Tensor, seed: int = 0) -> Tensor:
    """Draw a random order in which the classes alternate, so that every contiguous part is stratified."""
    order = torch.randperm(len(labels), generator=randomness.generator(seed, "subset"))
    turn = torch.empty_like(order)
    for label in labels.unique():
        (indices,) = torch.nonzero(labels[order] == label, as_tuple=True)
        turn[indices] = torch.arange(len(indices))
    return order[torch.argsort(turn, stable=True)]


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation per channel of uint8 (N, C, H, W), as float32 (C, 1, 1) each.

    The sums are taken over a histogram of the 256 pixel values: exact, and without a float copy of the images.
    """
    values = np.arange(256)
    counts = np.stack([_histogram(channel) for channel in images.numpy().swapaxes(0, 1)])
    frequency = counts / counts.sum(axis=1, keepdims=True)
    mean = frequency @ values
    std = np.sqrt(frequency @ values**2 - mean**2)
    return tuple(torch.tensor(statistic, dtype=torch.float32).view(-1, 1, 1) for statistic in (mean, std))  # type: ignore[return-value]


def _histogram(channel: np.ndarray) -> np.ndarray:
    """Count the values 0 to 255 of uint8 pixels (N, H, W), a few images at a time so that they stay in the cache."""
    parts = range(0, len(channel), 256)
    return sum(np.bincount(channel[first : first + 256].ravel(), minlength=256) for first in parts)  # type: ignore[return-value]
