"""BatchNorm's accuracy with three sources of statistics. One set of weights shows why small batches harm BatchNorm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from normbench import data as datasets
from normbench.config import MachineConfig, RunConfig
from normbench.data import DataSet, Split
from normbench.evaluation import accuracy_with_batch_statistics, evaluate, has_batch_statistics, recompute_statistics
from normbench.runs import Permission, RunResult, load_model

SAMPLE = 2000
"""Largest number of images that are scored three times."""


@dataclass(frozen=True)
class Statistics:
    """Accuracy (a fraction) of one network on a sample, by source of the mean and variance in BatchNorm."""

    SOURCES: ClassVar = ("running", "recomputed", "batch")

    running: float
    """Running averages of training, as in any evaluation."""
    recomputed: float
    """Means over the training images, recomputed with the final weights (arXiv:2105.07576)."""
    batch: float
    """Statistics of each batch, as large as in training."""


def measure_statistics(
    configs: Sequence[RunConfig],
    results: Sequence[RunResult],
    machine: MachineConfig,
    device: torch.device,
    on_run: Callable[[RunResult], None],
) -> dict[str, Statistics]:
    """Score every finished run that has BatchNorm layers, by run folder; `on_run` is called before each.

    The images are those by which the runs are compared: test images, or validation images if some are held out.

    Raises:
        RunFailedError: A run has no usable weights.
        DataError: The data set is not available.
    """
    data: DataSet | None = None
    statistics = {}
    for config, result in zip(configs, results, strict=True):
        if result.status != "done" or result.folder is None:
            continue
        network = load_model(Path(result.folder), config, Permission(config.norm, network=config.network.name)).network
        if has_batch_statistics(network):
            on_run(result)
            data = data or datasets.load(config.data, machine, device)
            statistics[result.folder] = _score(network.to(device), config, data)
    return statistics


def _score(network: torch.nn.Module, config: RunConfig, data: DataSet) -> Statistics:
    network, precision = network.to(memory_format=torch.channels_last), config.training.precision
    images = data.test if config.read_test or data.validation is None else data.validation
    split = Split(images.images[:SAMPLE], images.labels[:SAMPLE])
    running = evaluate(network, split, data, precision).accuracy
    batch = accuracy_with_batch_statistics(network, split, data, precision, config.training.batch_size)
    recompute_statistics(network, data, precision)
    return Statistics(running, evaluate(network, split, data, precision).accuracy, batch)
