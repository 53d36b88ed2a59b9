"""A run's folder, named by its content; every write is atomic, and the result is written last.

<out>/<experiment>/<norm>-s<seed>-<8 hex of the fingerprint>/
config.json  env.json  metrics.jsonl  state.pt  model.safetensors  confusion.json  result.json
code.json  code/ (of a custom norm)  network-code.json  network-code/ (of a custom network)
"""

import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from normbench.config import RunConfig
from normbench.config.norm_names import NormName
from normbench.errors import RunFailedError
from normbench.files import (
    append_text,
    check_regular,
    discard,
    json_text,
    kind_of,
    replace_bytes,
    replace_text,
)
from normbench.runs.archive import CONFIG, CONFUSION, ENVIRONMENT, METRICS, MODEL, RESULT, kind_of_file, read_file
from normbench.runs.kept_code import RunCode, keep_code
from normbench.runs.result import Confusion, RunResult
from normbench.runs.schema import REDO, SCHEMA_VERSION, VERSION, newer, read_model, unversioned, versioned
from normbench.training import EpochRow

if TYPE_CHECKING:
    from torch import nn

STATE = "state.pt"

LONGEST = 200
"""Characters of a norm in a folder's name, which file systems limit to 255 with seed and fingerprint; of a longer one
the end stays, which says most."""
FROM_THE_START = "Start it again from its first epoch: --force"

RunState = Literal["new", "interrupted", "done"]
Stamp = tuple[int, int, int]

# What a damaged archive, or one with other content, makes zipfile, torch.load and whoever reads the content raise.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    pickle.UnpicklingError,
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
)


class RunFolder:
    """The files of one run."""

    def __init__(self, out: Path, experiment: str, config: RunConfig) -> None:
        norm = NormName.parse(config.norm).label[-LONGEST:].strip("-.")
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
        """State by the files: a result, or a state to resume from."""
        return state_of(self.path)

    def start(self, environment: dict[str, Any], code: RunCode | None = None) -> None:
        """Forget an earlier try and write what the new one starts from, with the code of custom norms and networks.

        Raises:
            RunFailedError: A folder is in the place of a file, or the files cannot be written.
        """
        discard(self.path, (RESULT, METRICS, STATE, MODEL, CONFUSION, CONFIG, ENVIRONMENT))
        self._write_json(CONFIG, self.config.model_dump(mode="json"))
        self._write_json(ENVIRONMENT, environment)
        if code is not None:
            keep_code(self.path, code)

    def append(self, row: EpochRow) -> None:
        """Add one epoch's line to metrics.jsonl."""
        append_text(self.path / METRICS, _line(row))

    def save_state(self, state: dict[str, Any], rows: list[EpochRow]) -> None:
        """Replace the resumable state; it carries the epochs so far, so that both are of one moment."""
        rows_so_far = [row.model_dump() for row in rows]
        content = versioned({"fingerprint": self.config.fingerprint, "training": state, "rows": rows_so_far})
        import torch

        buffer = io.BytesIO()
        torch.save(content, buffer)
        replace_bytes(self.path / STATE, buffer.getvalue())

    def load_state(self) -> tuple[dict[str, Any], list[EpochRow]] | None:
        """The last saved state and its epochs, with metrics.jsonl made to hold just these; None if there is none.

        Raises:
            RunFailedError: The state is damaged or of another run, or config.json no longer says what the run was
                started with.
        """
        path = self.path / STATE
        if kind_of(path) is None:
            return None
        self._check_config()
        content = read_state(path)
        try:
            rows = _state_rows(content["rows"], self.config.training.epochs)
            training = content["training"]
            fingerprint = content.get("fingerprint", self.config.fingerprint)  # earlier versions left it out
        except DAMAGE as error:
            raise damaged_state(path, error) from error
        if fingerprint != self.config.fingerprint:
            raise RunFailedError(
                f"{path} is the state of a run with other settings (fingerprint {str(fingerprint)[:8]})", FROM_THE_START
            )
        replace_text(self.path / METRICS, "".join(_line(row) for row in rows))
        return training, rows

    def _check_config(self) -> None:
        """A run goes on with the settings it was started with: an edited config.json is another run."""
        path = self.path / CONFIG
        written = read_config(self.path)
        if written.fingerprint != self.config.fingerprint:
            raise RunFailedError(
                f"{path} was edited: it no longer holds the settings that its run was started with",
                "Undo the edit, or start the run again with --force; new settings belong in flags or a recipe.",
            )

    def save_model(self, network: "nn.Module", metadata: dict[str, str]) -> str:
        """Write the weights and buffers as safetensors, with what is needed to use them on other images.

        Returns:
            The SHA-256 (hex) of the file.
        """
        content = model_bytes(network, metadata)
        replace_bytes(self.path / MODEL, content)
        return hashlib.sha256(content).hexdigest()

    def save_confusion(self, confusion: Confusion) -> None:
        """Write where the network errs on the test images."""
        self._write_json(CONFUSION, confusion.model_dump(mode="json"))

    def finish(self, result: RunResult) -> None:
        """Write the result, which marks the run as done, and drop the state it no longer needs."""
        self._write_json(RESULT, result.model_dump(mode="json"))
        (self.path / STATE).unlink(missing_ok=True)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        content = {VERSION: SCHEMA_VERSION} | content  # a result carries it already
        replace_text(self.path / name, json_text(content) + "\n")


def damaged_state(path: Path, error: Exception) -> RunFailedError:
    """The error of a state that cannot be read, or that is not one of this run's network, optimizer and schedule."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return RunFailedError(f"{path} is damaged, the run cannot be resumed: {reason}", FROM_THE_START)


def model_bytes(network: "nn.Module", metadata: dict[str, str] | None = None) -> bytes:
    """Weights and buffers as safetensors; a tensor that stands under several names is written under each.

    Raises:
        TypeError: The state dict holds more than tensors.
    """
    import torch
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in network.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"'{name}' in its state dict is of type {type(tensor).__name__}, not a tensor")
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return save(tensors, metadata)


def state_of(folder: Path) -> RunState:
    """State of a run folder: done with a result, interrupted with a state, else new."""
    if kind_of_file(folder / RESULT) is not None:
        return "done"
    return "new" if kind_of(folder / STATE) is None else "interrupted"


def read_config(folder: Path) -> RunConfig:
    """The settings in a run folder.

    Raises:
        NewerFormatError: A newer normbench has written them.
        RunFailedError: They cannot be read.
    """
    return read_model(RunConfig, folder / CONFIG)


def read_result(folder: Path) -> RunResult | None:
    """The result in a run folder, or None while there is none.

    Raises:
        NewerFormatError: A newer normbench has written it.
        RunFailedError: It cannot be read.
    """
    path = folder / RESULT
    if kind_of_file(path) is None:
        return None
    result = read_model(RunResult, path)
    return result.model_copy(update={"folder": str(folder)})  # it may have been moved since


def read_confusion(folder: Path) -> Confusion | None:
    """The confusion matrix in a run folder; None where there is none, or none that can be read."""
    try:
        return read_model(Confusion, folder / CONFUSION)
    except RunFailedError:
        return None


def read_state(path: Path) -> dict[str, Any]:
    """A run's saved state.

    Raises:
        NewerFormatError: A newer normbench has written it.
        RunFailedError: It is damaged.
    """
    try:
        check_regular(path)
        return unversioned(_load_checked(path), path)
    except (*DAMAGE, OSError) as error:
        raise damaged_state(path, error) from error


def read_rows(path: Path) -> list[EpochRow]:
    """Read the epochs in a run's metrics.jsonl, in order.

    Raises:
        NewerFormatError: A newer normbench wrote the file.
        RunFailedError: The file cannot be read, or a line is damaged or out of order; names the line.
    """
    try:
        lines = read_file(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailedError(f"{path} cannot be read: {error}", REDO) from error
    return [_read_line(path, number, line) for number, line in enumerate(lines, 1)]


def _read_line(path: Path, number: int, line: str) -> EpochRow:
    location = f"{path}, line {number}"
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RunFailedError(f"{location}: Invalid JSON: {error}", REDO) from error
    if not isinstance(content, dict):
        raise RunFailedError(f"{location}: should be an object", REDO)
    content = unversioned(content, path)
    if unknown := sorted(content.keys() - EpochRow.model_fields.keys()):
        raise newer(path, f"its line {number} has {', '.join(unknown)}, which this normbench does not know")
    try:
        row = EpochRow.model_validate(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f" {part}:" for part in first["loc"])
        raise RunFailedError(f"{location}:{field} {first['msg']}", REDO) from error
    if row.epoch != number:
        raise RunFailedError(f"{location}: holds epoch {row.epoch} instead of epoch {number}", REDO)
    return row


def _state_rows(content: Sequence[object], epochs: int) -> list[EpochRow]:
    """Validate the epochs in a saved state.

    Raises:
        ValueError: They are not the first ones of a run of so many epochs.
    """
    rows = [EpochRow.model_validate(row, strict=True) for row in content]
    if [row.epoch for row in rows] != list(range(1, len(rows) + 1)) or len(rows) > epochs:
        raise ValueError(f"its epochs are {[row.epoch for row in rows]} of {epochs}")
    return rows


def _line(row: EpochRow) -> str:
    return json_text(versioned(row.model_dump()), indent=None) + "\n"


def _load_checked(path: Path) -> dict[str, Any]:
    """Load a file of torch.save: nothing is unpickled but plain values, and nothing before its checksums are right."""
    import torch

    with zipfile.ZipFile(path) as archive:
        if broken := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {broken} is wrong")
    content = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(content, dict):
        raise TypeError("it holds no state")
    return content
