"""What a data set is, once loaded: splits of uint8 images on the device, and how they are normalized."""

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
        """The images at these places, as a split of their own."""
        return Split(self.images[index], self.labels[index])

    def to(self, device: torch.device) -> "Split":
        """The same on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Source:
    """An image set as its publishers give it, on the CPU: what was meant for training, and for the test."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    flips: bool
    """Whether a mirrored image keeps its class."""


@dataclass(frozen=True)
class DataSet:
    """An image set: what is trained on, what settings are chosen on, and what is read once at the end."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    mean: Tensor
    """Per channel, (3, 1, 1), in units of pixel values 0-255; of the train split alone."""
    std: Tensor
    flips: bool


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) to float32 of mean 0 and standard deviation 1 per channel, in channels_last."""
    return images.to(torch.float32, memory_format=torch.channels_last).sub_(mean).div_(std)


def assemble(source: Source, config: DataConfig, device: torch.device) -> DataSet:
    """Split off the validation images, take the subset, measure mean and deviation, move to the device.

    The splits depend on the data settings alone, never on a run's seed: every run of an experiment shares them.

    Raises:
        UsageError: More images are asked for than there are.
    """
    source = dealt_anew(source, config.split_seed)
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


def dealt_anew(source: Source, seed: int) -> Source:
    """Training and test images drawn again from all of them, as many as before, classes in equal shares; 0 leaves all.

    One published split cannot tell how far the choice of the images moves a result, which is often further than the
    initialisation does (Bouthillier et al. 2021, arXiv:2103.03098).
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
    """A random order in which the classes take turns: every stretch of it has them in equal shares."""
    order = torch.randperm(len(labels), generator=randomness.generator(seed, "subset"))
    turn = torch.empty_like(order)
    for label in labels.unique():
        (places,) = torch.nonzero(labels[order] == label, as_tuple=True)
        turn[places] = torch.arange(len(places))
    return order[torch.argsort(turn, stable=True)]


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of uint8 (N, C, H, W), as float32 (C, 1, 1) each.

    Counted over the 256 pixel values, so the sums are exact and need no float copy of the images.
    """
    values = np.arange(256)
    counts = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in images.numpy().swapaxes(0, 1)])
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt(share @ values**2 - mean**2)
    return tuple(torch.tensor(figure, dtype=torch.float32).view(-1, 1, 1) for figure in (mean, std))  # type: ignore[return-value]
