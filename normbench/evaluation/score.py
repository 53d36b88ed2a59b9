"""Loss and accuracy of a network on a split, in eval mode, without augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench.data import DataSet, Split, normalize
from normbench.device import autocast
from normbench.errors import RunFailedError

BATCH = {"cuda": 5_000, "cpu": 100}
"""Images that are scored at once, by device: what fills a GPU, and what a CPU keeps in its cache (4,600 images/s on one
thread, 2,350 in batches of 500). It depends on the device alone, so that the same weights give the same digits whatever
batch size they were trained with."""


def evaluation_batch(device: torch.device) -> int:
    """Images that are scored at once."""
    return BATCH.get(device.type, 500)


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (nats, without label smoothing) and accuracy (a fraction) over `images` images."""

    loss: float
    accuracy: float
    images: int


class NonFiniteError(RunFailedError):
    """Logits or a loss that are not finite: `argmax` would call NaN class 0, and no accuracy means anything."""


def evaluate(network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None) -> Score:
    """Score a network on a split; its train or eval mode is restored afterwards.

    Raises:
        NonFiniteError: Its logits or their loss are not finite.
    """
    return evaluate_with_decisions(network, split, data, precision, batch_size)[0]


@torch.no_grad()
def evaluate_with_decisions(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None
) -> tuple[Score, Tensor]:
    """`evaluate`, and the class that each image was taken for, (N,) int64 on the CPU, from the same one reading.

    The images stay on the device; only the sums and the decisions leave it, after the last batch.

    Raises:
        NonFiniteError: The logits or their loss are not finite.
    """
    device = split.images.device
    loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    decided = []
    for scores, labels in _batches(network, split, data, precision, batch_size):
        loss += F.cross_entropy(scores, labels, reduction="sum")
        finite &= scores.isfinite().all()
        decided.append(scores.argmax(1))
    if not (finite & loss.isfinite()).item():
        raise _non_finite(len(split))
    decisions = torch.cat(decided)
    correct = (decisions == split.labels).sum().item()
    return Score(loss.item() / len(split), correct / len(split), len(split)), decisions.cpu()


def refuse_non_finite(logits: Tensor) -> None:
    """Refuse logits (N, classes) that no decision can be read from.

    Raises:
        NonFiniteError: One of them is NaN or infinite.
    """
    if not logits.isfinite().all():
        raise _non_finite(len(logits))


def _non_finite(images: int) -> NonFiniteError:
    return NonFiniteError(
        f"the network's logits on {images:,} images, or their loss, are not finite: it has diverged",
        "Train it again with a smaller learning rate (--lr).",
    )


@torch.no_grad()
def class_scores(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None
) -> Tensor:
    """The class scores (logits) of every image of a split, (N, classes) float32 on the CPU.

    Raises:
        NonFiniteError: One of them is not finite.
    """
    logits = torch.cat([scores for scores, _ in _batches(network, split, data, precision, batch_size)]).cpu()
    refuse_non_finite(logits)
    return logits


def _batches(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    batch_size = batch_size or evaluation_batch(split.images.device)
    was_training = network.training
    network.eval()
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        with autocast(split.images.device, precision):
            scores = network(normalize(images, data.mean, data.std)).float()
        yield scores, labels
    network.train(was_training)
