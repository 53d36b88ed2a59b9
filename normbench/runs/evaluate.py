"""Finished runs, scored again on their images."""

from dataclasses import dataclass

import torch
from torch import nn

from normbench import data as datasets
from normbench.config import MachineConfig, RunConfig
from normbench.data import DataSet, Split
from normbench.device import describe, resolve_device
from normbench.evaluation import Details, details, evaluate, predict_logits
from normbench.runs import Entry, Permission, SavedModel, load_model, usable


@dataclass(frozen=True)
class Evaluation:
    """A run's test images scored again."""

    details: Details
    problem: str
    """Difference between these scores and the recorded ones, in words; empty if they agree."""
    warnings: tuple[str, ...]


def evaluate_run(entry: Entry, machine: MachineConfig, permission: Permission) -> Evaluation:
    """Read a run's weights, score its test images again and compare with what the run recorded.

    Raises:
        UsageError: The run's norm is custom, and the user did not let its code run.
        RunFailedError: The run has no usable weights.
        DataError: Its data set is not available.
    """
    config, device = usable(entry), resolve_device(machine.device)
    model = load_model(entry.path, config, permission)  # what is wrong with it is said before the data is loaded
    data = datasets.load(config.data, machine, device)
    return Evaluation(_details(model, config, data), disagreement(entry, model, data), model.warnings)


def score_again(entry: Entry, data: DataSet, permission: Permission) -> Details:
    """Read a run's weights and score the test images of its data set, on the device that these are on.

    Raises:
        UsageError: The run's norm is custom, and its code may not run.
        RunFailedError: The run has no usable weights.
    """
    config = usable(entry)
    return _details(load_model(entry.path, config, permission), config, data)


def predict_again(entry: Entry, data: DataSet, permission: Permission, images: int) -> torch.Tensor:
    """Read a run's weights and return the logits of the first test images, (images, classes) on the CPU.

    Raises:
        UsageError: The run's norm is custom, and its code may not run.
        RunFailedError: The run has no usable weights, or its logits are not finite.
    """
    config = usable(entry)
    model = load_model(entry.path, config, permission)
    first = Split(data.test.images[:images], data.test.labels[:images])
    return predict_logits(_placed(model, data), first, data, config.training.precision)


def _details(model: SavedModel, config: RunConfig, data: DataSet) -> Details:
    scores = predict_logits(_placed(model, data), data.test, data, config.training.precision)
    return details(scores, data.test.labels.cpu(), data.classes)


def disagreement(entry: Entry, model: SavedModel, data: DataSet) -> str:
    """Describe the difference between a saved network's scores and the recorded ones; empty if none.

    They are compared on the test images, or on the validation images where the run left the test images unread. On the
    same kind of device and with the same torch two images and 0.1 % of the loss are allowed for other kernels, else one
    percentage point and 5 % of the loss.

    Raises:
        NonFiniteError: The network's logits are not finite.
    """
    config, result = usable(entry), entry.result
    if result is None:
        return ""
    if result.test_accuracy is not None:
        split, name, accuracy, loss = data.test, "test", result.test_accuracy, result.test_loss
    elif result.validation_accuracy is not None and data.validation is not None:
        split, name, accuracy, loss = data.validation, "validation", result.validation_accuracy, result.validation_loss
    else:
        return ""
    score = evaluate(_placed(model, data), split, data, config.training.precision)
    same = (result.device, result.torch) == (describe(split.images.device), torch.__version__)
    margin, share = (max(2.5 / len(split), 1e-9), 1e-3) if same else (max(2.5 / len(split), 0.01), 0.05)
    near = loss is None or abs(score.loss - loss) <= share * abs(loss) + 1e-6
    if abs(score.accuracy - accuracy) <= margin and near:
        return ""
    recorded = f"{100 * accuracy:.2f} %" + (f" and {loss:.4g}" if loss is not None else "")
    return (
        f"{name} accuracy {100 * score.accuracy:.2f} % and loss {score.loss:.4g}, but the run recorded {recorded}: "
        "this is not the network that it trained"
    )


def _placed(model: SavedModel, data: DataSet) -> nn.Module:
    device = data.test.images.device
    return model.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
