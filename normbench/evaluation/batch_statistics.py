"""BatchNorm's statistics in evaluation: the running ones, recomputed ones, or those of the batch at hand."""

import torch
from torch import nn

from normbench.data import DataSet, Split, normalize
from normbench.device import autocast
from normbench.evaluation.score import refuse_non_finite

STATISTICS_BATCH = 500
"""Images in a batch of which running statistics are recomputed: their variance depends on it a little."""
BatchNorm = nn.modules.batchnorm._BatchNorm


def has_batch_statistics(network: nn.Module) -> bool:
    """Whether a layer of the network is a BatchNorm, so that the functions here have something to change."""
    return any(isinstance(module, BatchNorm) for module in network.modules())


def accuracy_of_batches(network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int) -> float:
    """Accuracy, a fraction, where each batch of a split is normalized by its own statistics, as in training.

    All else is as in evaluation. The running statistics are left as they were.

    Raises:
        NonFiniteError: A logit is not finite.
    """
    momenta = {module: module.momentum for module in _batch_norms(network)}
    for module in momenta:
        module.momentum = 0.0
    was_training = _taking_batches(network)
    correct = 0
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        scores = _scores(network, images, data, precision)
        refuse_non_finite(scores)
        correct += int((scores.argmax(1) == labels).sum())
    network.train(was_training)
    for module, momentum in momenta.items():
        module.momentum = momentum
    return correct / len(split)


def recompute_statistics(network: nn.Module, data: DataSet, precision: str) -> None:
    """Replace the running statistics by the mean over the plain training images, in batches of 500.

    Source: "PreciseBN" of Wu and Johnson, Rethinking "Batch" in BatchNorm (2021), arXiv:2105.07576.
    """
    for module in _batch_norms(network):
        module.reset_running_stats()
        module.momentum = None  # an average in which every batch counts the same
    was_training = _taking_batches(network)
    for images in data.train.images.split(STATISTICS_BATCH):
        _scores(network, images, data, precision)
    network.train(was_training)


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def _taking_batches(network: nn.Module) -> bool:
    """Let BatchNorm alone work as in training; returns the mode that the network was in."""
    was_training = network.training
    network.eval()
    for module in _batch_norms(network):
        module.train()
    return was_training


@torch.no_grad()
def _scores(network: nn.Module, images: torch.Tensor, data: DataSet, precision: str) -> torch.Tensor:
    with autocast(images.device, precision):
        scores: torch.Tensor = network(normalize(images, data.mean, data.std)).float()
    return scores
