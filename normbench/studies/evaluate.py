"""A finished run looked at again: the same test accuracy, where it errs, and what it says of other pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from normbench import data as datasets
from normbench.config import MachineConfig
from normbench.data import DataSet, normalize
from normbench.device import resolve_device
from normbench.errors import UsageError
from normbench.evaluation import Details, class_scores, details
from normbench.runs import Entry, SavedModel, as_channels, load_model, usable

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


@dataclass(frozen=True)
class Decision:
    """What a network takes a picture for; the probability is its own, as sure as it is calibrated."""

    file: str
    decided: str
    probability: float


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


def classify(entry: Entry, folder: Path) -> list[Decision]:
    """What a run's network takes the pictures in a folder for; each is cut square and scaled to 32x32.

    Raises:
        UsageError: The folder holds no picture, or a file that cannot be read as one.
    """
    model = load_model(entry.path, usable(entry))
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not files:
        raise UsageError(f"no pictures in {folder}", f"They end in {', '.join(PICTURES)}.")
    return [_decide(model, path) for path in files]


@torch.no_grad()
def _decide(model: SavedModel, path: Path) -> Decision:
    cpu = torch.device("cpu")
    images = normalize(_picture(path), as_channels(model.mean, cpu), as_channels(model.std, cpu))
    probabilities = torch.softmax(model.network(images)[0], 0)
    return Decision(path.name, model.classes[int(probabilities.argmax())], float(probabilities.max()))


def _picture(path: Path) -> torch.Tensor:
    """A picture as uint8 (1, 3, 32, 32): its largest centred square, averaged down."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} cannot be read as a picture: {error}") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    small = image.resize((32, 32), Image.Resampling.BOX, box=(left, top, left + side, top + side))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).unsqueeze(0)
