"""Loss and accuracy of a network on a split, in eval mode, without augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench.data import DataSet, Split, normalize
from normbench.device import autocast

# Fixed, so that the same weights give the same digits whatever batch size they were trained with.
EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (nats, without label smoothing) and accuracy (a fraction) over `images` images."""

    loss: float
    accuracy: float
    images: int


@torch.no_grad()
def evaluate(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int = EVALUATION_BATCH
) -> Score:
    """Score a network on a split; its train or eval mode is restored afterwards.

    One transfer from the device for the whole split.
    """
    device = split.images.device
    loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    for scores, labels in _batches(network, split, data, precision, batch_size):
        loss += F.cross_entropy(scores, labels, reduction="sum")
        correct += (scores.argmax(1) == labels).sum()
    return Score(loss.item() / len(split), correct.item() / len(split), len(split))


@torch.no_grad()
def class_scores(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int = EVALUATION_BATCH
) -> Tensor:
    """The class scores (logits) of every image of a split, (N, classes) float32 on the CPU."""
    return torch.cat([scores for scores, _ in _batches(network, split, data, precision, batch_size)]).cpu()


def _batches(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    was_training = network.training
    network.eval()
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        with autocast(split.images.device, precision):
            scores = network(normalize(images, data.mean, data.std)).float()
        yield scores, labels
    network.train(was_training)
