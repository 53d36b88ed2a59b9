"""Loss and accuracy of a network. They are taken in eval mode, without augmentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normbench.data import DataSet, Split, normalize
from normbench.device import autocast
from normbench.errors import RunFailedError

BATCH = {"cuda": 5_000, "cpu": 100}
"""Evaluation batch size by device: fills a GPU, fits the cache of a CPU (benchmarks/README.md).

It depends on the device alone: the same weights give the same digits whatever batch size they were trained with.
"""


def evaluation_batch(device: torch.device) -> int:
    """Return the evaluation batch size of a device."""
    return BATCH.get(device.type, 500)


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (nats, without label smoothing) and accuracy (a fraction) over `images` images."""

    loss: float
    accuracy: float
    images: int


class NonFiniteError(RunFailedError):
    """Logits or loss that are not finite: `argmax` takes NaN for class 0, so no accuracy is meaningful."""


def evaluate(network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None) -> Score:
    """Compute loss and accuracy of a network on a split, in eval mode; its mode is restored afterwards.

    Args:
        network: Maps (N, 3, H, W) to logits (N, classes).
        split: The images and labels.
        data: Data set whose mean and standard deviation normalize the images.
        precision: A precision of `TrainingConfig`.
        batch_size: Images per batch; by default that of the device.

    Raises:
        NonFiniteError: The logits or their loss are not finite.
    """
    return evaluate_with_predictions(network, split, data, precision, batch_size)[0]


@torch.no_grad()
def evaluate_with_predictions(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None
) -> tuple[Score, Tensor]:
    """Evaluate, and return the predicted class of each image, (N,) int64 on the CPU, from the same pass.

    The images stay on the device; only the sums and the predictions leave it, after the last batch.

    Raises:
        NonFiniteError: The logits or their loss are not finite.
    """
    device = split.images.device
    loss = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    predicted = []
    for logits, labels in _batches(network, split, data, precision, batch_size):
        loss += F.cross_entropy(logits, labels, reduction="sum")
        finite &= logits.isfinite().all()
        predicted.append(logits.argmax(1))
    if not (finite & loss.isfinite()).item():
        raise _non_finite(len(split))
    predictions = torch.cat(predicted)
    correct = (predictions == split.labels).sum().item()
    return Score(loss.item() / len(split), correct / len(split), len(split)), predictions.cpu()


def refuse_non_finite(logits: Tensor) -> None:
    """Refuse logits (N, classes) that give no prediction.

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
def predict_logits(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int | None = None
) -> Tensor:
    """Return the logits of every image of a split, (N, classes) float32 on the CPU.

    Raises:
        NonFiniteError: A logit is not finite.
    """
    logits = torch.cat([logits for logits, _ in _batches(network, split, data, precision, batch_size)]).cpu()
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
            logits = network(normalize(images, data.mean, data.std)).float()
        yield logits, labels
    network.train(was_training)
