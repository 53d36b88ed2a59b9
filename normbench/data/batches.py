"""Shuffled, augmented batches as tensor code: no workers, no per-image Python.

Order and augmentation depend on (seed, epoch) alone, so runs that share a seed see identical batches.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from normbench import randomness
from normbench.config import DataConfig
from normbench.data.sets import DataSet, normalize
from normbench.errors import UsageError


class Batches:
    """The training batches of one run; all of one size, so a last smaller one is left out of its epoch.

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
        self.windows = crop_windows(data.train.images, config.crop_padding)
        device, shape = data.train.images.device, (len(self), batch_size)
        # The plan of an epoch keeps its place in memory: a captured step reads the same addresses again and again.
        self.order = torch.zeros(shape, dtype=torch.int64, device=device)
        self.corners = torch.zeros((*shape, 2), dtype=torch.int64, device=device)
        self.mirrored = torch.zeros(shape, dtype=torch.bool, device=device)
        self.place = torch.zeros(1, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.data.train) // self.batch_size

    def start(self, epoch: int) -> None:
        """Draw order and augmentation of an epoch, counted from 1, and begin with its first batch."""
        count = len(self) * self.batch_size
        order = torch.randperm(len(self.data.train), generator=randomness.generator(self.seed, "order", epoch))[:count]
        chance = randomness.generator(self.seed, "augment", epoch)
        corners = torch.randint(2 * self.padding + 1, (count, 2), generator=chance)
        mirrored = torch.rand(count, generator=chance) < 0.5
        self.order.copy_(order.view_as(self.order))
        self.corners.copy_(corners.view_as(self.corners))
        self.mirrored.copy_(mirrored.view_as(self.mirrored))
        self.place.zero_()

    def next(self) -> tuple[Tensor, Tensor]:
        """The epoch's next batch: images (B, 3, 32, 32) float32 and labels (B,) int64.

        Which one is next stands on the device, so that a captured step draws another batch every time.
        """
        index, corner, mirror = (plan.index_select(0, self.place)[0] for plan in self._plan())
        self.place += 1
        images = self.windows[index, :, corner[:, 0], corner[:, 1]]
        if self.flip:
            images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(3), images)
        return normalize(images, self.data.mean, self.data.std), self.data.train.labels[index]

    def _plan(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.order, self.corners, self.mirrored

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every batch of one epoch."""
        self.start(epoch)
        for _ in range(len(self)):
            yield self.next()


def crop_windows(images: Tensor, padding: int) -> Tensor:
    """Every crop of black-padded images (N, C, H, W): a view (N, C, 2p+1, 2p+1, H, W) that copies no window."""
    height, width = images.shape[2:]
    return F.pad(images, [padding] * 4).unfold(2, height, 1).unfold(3, width, 1)
