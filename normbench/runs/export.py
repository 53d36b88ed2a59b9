"""Export of a trained network as ONNX. The file is checked against torch before it is called done."""

import io
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from normbench import data as datasets
from normbench import files
from normbench.config import MachineConfig
from normbench.errors import DataError, RunFailedError, UsageError, in_one_line
from normbench.networks import IMAGE_SHAPE
from normbench.runs import Entry, Permission, SavedModel, as_channels, load_model, usable
from normbench.runs.evaluate import disagreement

CHECKED_IMAGES = 16
TOLERANCE = 1e-4
"""Tolerance as a share of the largest logit: what other kernels round differently in float32 over ten layers."""


@dataclass(frozen=True)
class Exported:
    """The file, and how far its scores are from torch's, as a share of the largest score."""

    path: Path
    difference: float
    warnings: tuple[str, ...]


class FromPixels(nn.Module):
    """(N, 3, 32, 32) pixel values 0-255, float32, to class scores (N, classes): normalization is part of the file."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: SavedModel) -> None:
        super().__init__()
        cpu = torch.device("cpu")
        self.network = model.network
        self.register_buffer("mean", as_channels(model.mean, cpu))
        self.register_buffer("std", as_channels(model.std, cpu))

    def forward(self, pixels: Tensor) -> Tensor:
        """Score images."""
        scores: Tensor = self.network((pixels - self.mean) / self.std)
        return scores


def export_onnx(entry: Entry, path: Path, machine: MachineConfig, permission: Permission) -> Exported:
    """Write a run's network as ONNX for any number of images, and run it once beside torch.

    Before it is written the network is scored on the run's own data set, where that is at hand.

    Raises:
        UsageError: The packages for it are not installed, or a custom norm's code may not run.
        RunFailedError: The run has no weights, they do not give the recorded accuracy, the norm has no ONNX form, or
            the file's scores are not torch's.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # torch's exporter needs it, and says so less clearly
    except ImportError as error:
        raise UsageError(f"the export to ONNX needs {error.name}", "pip install 'normbench[onnx]'") from error
    target = files.output_file(path, "an ONNX file", _is_onnx)
    saved = load_model(entry.path, usable(entry), permission)
    warnings = saved.warnings + _compared(entry, saved, machine)
    model = FromPixels(saved).eval()
    pixels = torch.randint(256, (CHECKED_IMAGES, *IMAGE_SHAPE), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        expected = model(pixels).numpy()
    files.replace(target, lambda beside: _write(model, pixels, beside))
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"pixels": pixels.numpy()})
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise RunFailedError(f"{path} gives other scores than torch: they differ by {difference:.1e} of the largest")
    return Exported(path, difference, warnings)


def _compared(entry: Entry, saved: SavedModel, machine: MachineConfig) -> tuple[str, ...]:
    """Refuse a network that does not give the accuracy that its run recorded; a warning where this cannot be tried."""
    here = machine.model_copy(update={"offline": True})
    try:
        data = datasets.load(usable(entry).data, here, torch.device("cpu"))
    except DataError as error:
        return (f"not compared with the recorded accuracy, since the data set is not at hand: {error.message}",)
    if problem := disagreement(entry, saved, data):
        raise RunFailedError(f"nothing is exported: {problem}", "Train the run again: --force")
    return ()


def _is_onnx(head: bytes) -> bool:
    """Recognize torch's ONNX by the first bytes: the version of the format, and its own name."""
    return head.startswith(b"\x08") and b"pytorch" in head


def _write(model: nn.Module, pixels: Tensor, path: Path) -> None:
    try:
        with redirect_stderr(io.StringIO()):  # torch prints whole graphs there when it fails
            program = torch.onnx.export(
                model,
                (pixels,),
                input_names=["pixels"],
                output_names=["scores"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = in_one_line(error.__cause__ or error)
        raise RunFailedError(
            f"this network has no ONNX form: {reason}", "A custom norm must be traceable by torch.export."
        ) from error
    assert program is not None, "the exporter that works by tracing returns what it has made"
    program.save(path)
