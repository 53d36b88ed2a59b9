"""Why BatchNorm falls with small batches: the same weights, scored with three kinds of statistics."""

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
"""Images that are scored three times; all, where there are fewer."""


@dataclass(frozen=True)
class Statistics:
    """Accuracy of one network on a sample, by what its BatchNorm layers normalize with; fractions."""

    SOURCES: ClassVar = ("running", "recomputed", "own")

    running: float
    """The running averages of training: evaluation as usual."""
    recomputed: float
    """Means over the training images, taken anew with the final weights (arXiv:2105.07576)."""
    own: float
    """Those of each batch, as large as in training."""


def measure_statistics(
    configs: Sequence[RunConfig],
    results: Sequence[RunResult],
    machine: MachineConfig,
    device: torch.device,
    on_run: Callable[[RunResult], None],
) -> dict[str, Statistics]:
    """By folder, of every finished run with BatchNorm layers; `on_run` is called before each.

    The images are those that the runs are scored on: test images, or validation images where some are held out.

    Raises:
        RunFailedError: A run has no usable weights.
        DataError: The data set is not to be had.
    """
    data: DataSet | None = None
    found = {}
    for config, result in zip(configs, results, strict=True):
        if result.status != "done" or result.folder is None:
            continue
        network = load_model(Path(result.folder), config, Permission(config.norm, network=config.network.name)).network
        if has_batch_statistics(network):
            on_run(result)
            data = data or datasets.load(config.data, machine, device)
            found[result.folder] = _score(network.to(device), config, data)
    return found


def _score(network: torch.nn.Module, config: RunConfig, data: DataSet) -> Statistics:
    network = network.to(memory_format=torch.channels_last)
    split, precision = _sample(data, config), config.training.precision
    running = evaluate(network, split, data, precision).accuracy
    own = accuracy_with_batch_statistics(network, split, data, precision, config.training.batch_size)
    recompute_statistics(network, data, precision)
    return Statistics(running, evaluate(network, split, data, precision).accuracy, own)


def _sample(data: DataSet, config: RunConfig) -> Split:
    scored = data.test if config.read_test or data.validation is None else data.validation
    return Split(scored.images[:SAMPLE], scored.labels[:SAMPLE])
