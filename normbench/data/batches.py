"""Shuffled, augmented batches as tensor code. No workers, no per-image Python.

Order and augmentation depend on (seed, epoch) alone, so runs that share a seed see identical batches.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from normbench import randomness
from normbench.config import DataConfig
from normbench.data.splits import DataSet, normalize
from normbench.errors import UsageError

CHUNK = {"cuda": 8192, "cpu": 256}
"""Images augmented at once, by device: enough to fill a GPU, few enough for the cache of a CPU."""


class Batches:
    """Training batches of one run, all of one size: a last smaller batch of an epoch is dropped.

    Raises:
        UsageError: The training images do not fill one batch.
    """

    def __init__(self, data: DataSet, config: DataConfig, seed: int, batch_size: int) -> None:
        if len(data.train) < batch_size:
            raise UsageError(
                f"{len(data.train):,} training images do not fill one batch of {batch_size}",
                f"Use --batch-size {len(data.train)} or less.",
            )
        self.data = data
        self.seed, self.batch_size = seed, batch_size
        self.flip = config.flip and data.flips
        self.padding = config.crop_padding
        source, shape = data.train.images, (len(self), batch_size)
        channels, height, width = source.shape[1:]
        # The buffers of an epoch are reused: a captured step reads the same addresses in every epoch.
        self.images = torch.zeros((*shape, height, width, channels), dtype=torch.uint8, device=source.device)
        self.labels = torch.zeros(shape, dtype=torch.int64, device=source.device)
        self.index = torch.zeros(1, dtype=torch.int64, device=source.device)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.data.train) // self.batch_size

    def start(self, epoch: int) -> None:
        """Draw order and augmentation of an epoch (from 1), fill its batches, and go to the first."""
        count, split = len(self) * self.batch_size, self.data.train
        order = torch.randperm(len(split), generator=randomness.generator(self.seed, "order", epoch))[:count]
        rng = randomness.generator(self.seed, "augment", epoch)
        corners = torch.randint(2 * self.padding + 1, (count, 2), generator=rng)
        mirrored = torch.rand(count, generator=rng) < 0.5
        device = split.images.device
        order, corners, mirrored = order.to(device), corners.to(device), mirrored.to(device)
        epoch_images = self.images.flatten(0, 1)
        chunk = CHUNK.get(device.type, CHUNK["cuda"])
        for first in range(0, count, chunk):
            part = slice(first, first + chunk)
            images = crop(split.images[order[part]], corners[part], self.padding)
            if self.flip:
                images = torch.where(mirrored[part].view(-1, 1, 1, 1), images.flip(3), images)
            epoch_images[part] = images.permute(0, 2, 3, 1)
        torch.index_select(split.labels, 0, order, out=self.labels.view(-1))
        self.index.zero_()

    def next(self) -> tuple[Tensor, Tensor]:
        """Return the next batch of the epoch: images (B, 3, 32, 32) float32 and labels (B,) int64.

        The index is a tensor on the device, so that every replay of a captured step reads another batch.
        """
        images, labels = (tensor.index_select(0, self.index)[0] for tensor in (self.images, self.labels))
        self.index += 1
        return normalize(images.permute(0, 3, 1, 2), self.data.mean, self.data.std), labels

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every batch of one epoch."""
        self.start(epoch)
        for _ in range(len(self)):
            yield self.next()


def crop(images: Tensor, corners: Tensor, padding: int) -> Tensor:
    """Crop zero-padded images (N, C, H, W) to their size at corners (N, 2), as row and column from 0."""
    if not padding:
        return images
    height, width = images.shape[2:]
    windows = F.pad(images, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)  # a view, not a copy
    return windows[torch.arange(len(images), device=images.device), :, corners[:, 0], corners[:, 1]]
