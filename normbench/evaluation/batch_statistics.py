"""Statistics of BatchNorm in evaluation: running ones, recomputed ones, or those of the current batch."""

import torch
from torch import nn

from normbench.data import DataSet, Split, normalize
from normbench.device import autocast
from normbench.evaluation.score import refuse_non_finite

STATISTICS_BATCH = 500
"""Batch size for recomputed running statistics; their variance depends on it slightly."""
BatchNorm = nn.modules.batchnorm._BatchNorm


def has_batch_statistics(network: nn.Module) -> bool:
    """Test if the network has a BatchNorm layer, the only kind that these functions affect."""
    return any(isinstance(module, BatchNorm) for module in network.modules())


def accuracy_with_batch_statistics(
    network: nn.Module, split: Split, data: DataSet, precision: str, batch_size: int
) -> float:
    """Compute the accuracy (a fraction) with each batch normalized by its own statistics, as in training.

    All other layers are in eval mode. The running statistics do not change.

    Raises:
        NonFiniteError: A logit is not finite.
    """
    momenta = {module: module.momentum for module in _batch_norms(network)}
    for module in momenta:
        module.momentum = 0.0
    was_training = _use_batch_statistics(network)
    correct = 0
    for images, labels in zip(split.images.split(batch_size), split.labels.split(batch_size), strict=True):
        logits = _logits(network, images, data, precision)
        refuse_non_finite(logits)
        correct += int((logits.argmax(1) == labels).sum())
    network.train(was_training)
    for module, momentum in momenta.items():
        module.momentum = momentum
    return correct / len(split)


def recompute_statistics(network: nn.Module, data: DataSet, precision: str) -> None:
    """Replace the running statistics by their mean over the un-augmented training images, in batches of 500.

    Source: "PreciseBN" of Wu and Johnson, Rethinking "Batch" in BatchNorm (2021), arXiv:2105.07576.
    """
    for module in _batch_norms(network):
        module.reset_running_stats()
        module.momentum = None  # cumulative average: all batches have equal weight
    was_training = _use_batch_statistics(network)
    for images in data.train.images.split(STATISTICS_BATCH):
        _logits(network, images, data, precision)
    network.train(was_training)


def _batch_norms(network: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]


def _use_batch_statistics(network: nn.Module) -> bool:
    """Put BatchNorm in train mode and all else in eval mode; return the previous mode of the network."""
    was_training = network.training
    network.eval()
    for module in _batch_norms(network):
        module.train()
    return was_training


@torch.no_grad()
def _logits(network: nn.Module, images: torch.Tensor, data: DataSet, precision: str) -> torch.Tensor:
    with autocast(images.device, precision):
        logits: torch.Tensor = network(normalize(images, data.mean, data.std)).float()
    return logits
