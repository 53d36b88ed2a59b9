"""A run's folder, named by its content; every write is atomic, and the result is written last.

<out>/<experiment>/<norm>-s<seed>-<8 hex of the fingerprint>/
config.json  env.json  metrics.jsonl  state.pt  model.safetensors  confusion.json  result.json
"""

import dataclasses
import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from safetensors.torch import save

from normbench.config import RunConfig
from normbench.errors import RunFailedError
from normbench.files import in_words, json_text, replace_bytes, replace_text
from normbench.runs.result import Confusion, RunResult
from normbench.training import EpochRow

CONFIG, ENVIRONMENT, METRICS = "config.json", "env.json", "metrics.jsonl"
STATE, MODEL, RESULT = "state.pt", "model.safetensors", "result.json"
CONFUSION = "confusion.json"
"""Test images by true class and decided class: written beside the result, from the same reading of the images."""

RunState = Literal["new", "interrupted", "done"]
Stamp = tuple[int, int, int]

# What a damaged archive makes zipfile and torch.load raise.
DAMAGE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class RunFolder:
    """The files of one run."""

    def __init__(self, out: Path, experiment: str, config: RunConfig) -> None:
        norm = re.sub(r"[^A-Za-z0-9+._-]+", "-", config.norm).strip("-.")
        self.path = out / experiment / f"{norm}-s{config.seed}-{config.fingerprint[:8]}"
        self.config = config

    def result(self) -> RunResult | None:
        """The run's result, or None while it has none.

        Raises:
            RunFailedError: There is a result that cannot be read.
        """
        result = read_result(self.path)
        return result and result.model_copy(update={"tuned": self.config.tuned})  # as this command's recipe has it

    @property
    def stamp(self) -> Stamp | None:
        """The identity of the result's file, which no later result shares; None while there is none."""
        try:
            status = (self.path / RESULT).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    @property
    def state(self) -> RunState:
        """Whether there is a result, or a state to resume from."""
        return state_of(self.path)

    def start(self, environment: dict[str, Any]) -> None:
        """Forget an earlier try and write what the new one starts from."""
        for name in (RESULT, METRICS, STATE, MODEL, CONFUSION):
            (self.path / name).unlink(missing_ok=True)
        self._write_json(CONFIG, self.config.model_dump(mode="json"))
        self._write_json(ENVIRONMENT, environment)

    def append(self, row: EpochRow) -> None:
        """Add one epoch's line to metrics.jsonl."""
        path = self.path / METRICS
        with in_words(path), path.open("a", encoding="utf-8") as file:
            file.write(_line(row))

    def save_state(self, state: dict[str, Any], rows: list[EpochRow]) -> None:
        """Replace the resumable state; it carries the epochs so far, so that both are of one moment."""
        content = {"training": state, "rows": [dataclasses.asdict(row) for row in rows]}
        buffer = io.BytesIO()
        torch.save(content, buffer)
        replace_bytes(self.path / STATE, buffer.getvalue())

    def load_state(self) -> tuple[dict[str, Any], list[EpochRow]] | None:
        """The last saved state and its epochs, with metrics.jsonl made to hold just these; None if there is none.

        Raises:
            RunFailedError: The state is damaged, or config.json no longer says what the run was started with.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        self._check_config()
        try:
            content = _load_checked(path)
            rows = [EpochRow(**row) for row in content["rows"]]
            training = content["training"]
        except DAMAGE as error:
            raise RunFailedError(
                f"{path} is damaged, the run cannot be resumed: {error}", "Start it again from its first epoch: --force"
            ) from error
        replace_text(self.path / METRICS, "".join(_line(row) for row in rows))
        return training, rows

    def _check_config(self) -> None:
        """A run goes on with the settings it was started with: an edited config.json is another run."""
        path = self.path / CONFIG
        try:
            written = RunConfig.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise RunFailedError(f"{path} cannot be read: {error}", "Start the run again: --force") from error
        if written.fingerprint != self.config.fingerprint:
            raise RunFailedError(
                f"{path} was edited: it no longer holds the settings that its run was started with",
                "Undo the edit, or start the run again with --force; new settings belong in flags or a recipe.",
            )

    def save_model(self, network: torch.nn.Module, metadata: dict[str, str]) -> None:
        """Write the weights and buffers as safetensors, with what is needed to use them on other images."""
        tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        replace_bytes(self.path / MODEL, save(tensors, metadata))

    def save_confusion(self, confusion: Confusion) -> None:
        """Write where the network errs on the test images."""
        self._write_json(CONFUSION, confusion.model_dump(mode="json"))

    def finish(self, result: RunResult) -> None:
        """Write the result, which marks the run as done, and drop the state it no longer needs."""
        self._write_json(RESULT, result.model_dump(mode="json"))
        (self.path / STATE).unlink(missing_ok=True)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        replace_text(self.path / name, json_text(content) + "\n")


def state_of(folder: Path) -> RunState:
    """Whether a run folder holds a result, or a state to resume from."""
    if (folder / RESULT).exists():
        return "done"
    return "interrupted" if (folder / STATE).exists() else "new"


def read_result(folder: Path) -> RunResult | None:
    """The result in a run folder, or None while there is none.

    Raises:
        RunFailedError: It cannot be read.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    try:
        result = RunResult.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise RunFailedError(f"{path} cannot be read: {error}", "Redo the run with --force.") from error
    return result.model_copy(update={"folder": str(folder)})  # it may have been moved since


def read_confusion(folder: Path) -> Confusion | None:
    """The confusion matrix in a run folder; None where there is none, or none that can be read."""
    try:
        return Confusion.model_validate_json((folder / CONFUSION).read_bytes())
    except (ValidationError, OSError):
        return None


def _line(row: EpochRow) -> str:
    return json_text(dataclasses.asdict(row), indent=None) + "\n"


def _load_checked(path: Path) -> dict[str, Any]:
    """What torch.save wrote: nothing is unpickled but plain values, and nothing before its checksums are right."""
    with zipfile.ZipFile(path) as archive:
        if broken := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")
    content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return content
