"""A finished run looked at again: the same test accuracy, and where it errs."""

import torch

from normbench import data as datasets
from normbench.config import MachineConfig
from normbench.data import DataSet
from normbench.device import resolve_device
from normbench.evaluation import Details, class_scores, details
from normbench.runs import Entry, load_model, usable


def evaluate_run(entry: Entry, machine: MachineConfig) -> Details:
    """Read a run's weights and score its test images again.

    Raises:
        RunFailedError: The run has no usable weights.
        DataError: Its data set is not to be had.
    """
    device = resolve_device(machine.device)
    return score_again(entry, datasets.load(usable(entry).data, machine, device))


def score_again(entry: Entry, data: DataSet) -> Details:
    """Read a run's weights and score the test images of its data set, on the device that these are on.

    Raises:
        RunFailedError: The run has no usable weights.
    """
    config = usable(entry)
    network = load_model(entry.path, config).network
    network = network.to(data.test.images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    scores = class_scores(network, data.test, data, config.training.precision)
    return details(scores, data.test.labels.cpu(), data.classes)
