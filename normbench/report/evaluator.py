"""Evaluation of saved networks for a report.

It is imported only where one is evaluated, as it needs torch.
"""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from normbench import data as datasets
from normbench.config import MachineConfig
from normbench.data import DataSet
from normbench.device import resolve_device
from normbench.errors import NormbenchError, UsageError
from normbench.report.select import Finished
from normbench.runs import Permission, UntrustedCodeError, usable
from normbench.runs.evaluate import predict_again, score_again


@dataclass(frozen=True)
class Mistake:
    """Misclassified test image, with the probability that the network gave to the wrong class."""

    truth: str
    predicted: str
    confidence: float
    picture: str
    """The image as a PNG in a data URI."""


@dataclass(frozen=True)
class Mistakes:
    """Mistakes of a network on some test images."""

    number: int
    images: int
    selected: tuple[Mistake, ...]
    """Those with the highest confidence, in its descending order."""


class Evaluator:
    """Networks of the runs of one experiment, on their data set; that is loaded once, and never downloaded."""

    def __init__(self, machine: MachineConfig, *, trust: bool) -> None:
        self.machine = machine
        self.permission = Permission(trust=trust)
        self._data: DataSet | NormbenchError | None = None
        """Images, or the error that they are not available; None until a run needs them."""

    def confusion(self, run: Finished) -> tuple[tuple[str, ...], np.ndarray]:
        """Evaluate a run's weights on the test images: the classes, and the counts (classes, classes) int64.

        Raises:
            NormbenchError: It has no usable weights, its code may not run, or its data set is not available.
        """
        data = self._images(run)
        with _naming_the_flag():
            details = score_again(run.entry, data, self.permission)
        return data.classes, np.array(details.confusion, dtype=np.int64)

    def mistakes(self, run: Finished, images: int, most: int) -> Mistakes:
        """Classify the first test images, and select the mistakes with the highest confidence.

        Args:
            run: Finished run with weights.
            images: Test images to classify, from the first one on.
            most: Mistakes to select.

        Raises:
            NormbenchError: It has no usable weights, its code may not run, or its data set is not available.
        """
        data = self._images(run)
        with _naming_the_flag():
            probabilities = torch.softmax(predict_again(run.entry, data, self.permission, images).double(), 1)
        pictures, labels = data.test.images[: len(probabilities)].cpu(), data.test.labels[: len(probabilities)].cpu()
        confidence, predicted = probabilities.max(1)
        (wrong,) = torch.nonzero(predicted != labels, as_tuple=True)
        order = wrong[torch.argsort(confidence[wrong], descending=True, stable=True)]
        selected = tuple(
            Mistake(
                truth=data.classes[int(labels[index])],
                predicted=data.classes[int(predicted[index])],
                confidence=float(confidence[index]),
                picture=_data_uri(pictures[index]),
            )
            for index in order[:most]
        )
        return Mistakes(len(wrong), len(labels), selected)

    def _images(self, run: Finished) -> DataSet:
        """Load the data set that all runs share."""
        if self._data is None:
            machine = self.machine.model_copy(update={"offline": True})
            try:
                self._data = datasets.load(usable(run.entry).data, machine, resolve_device(self.machine.device))
            except NormbenchError as error:
                self._data = UsageError(f"the data set is not available: {error.message}")
        if isinstance(self._data, NormbenchError):
            raise self._data
        return self._data


@contextmanager
def _naming_the_flag() -> Iterator[None]:
    """Name the flag that lets kept code run, as reasons stand on a page without their hints."""
    try:
        yield
    except UntrustedCodeError as error:
        raise UsageError(f"{error.message} (report --trust runs it)") from error


def _data_uri(image: torch.Tensor) -> str:
    """Encode an image, uint8 (3, H, W), as a PNG in a data URI."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
