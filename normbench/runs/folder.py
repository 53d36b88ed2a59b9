"""A run's folder, named by its content; every write is atomic, and the result is written last.

<out>/<experiment>/<norm>-s<seed>-<8 hex of the fingerprint>/
config.json  env.json  metrics.jsonl  state.pt  model.safetensors  result.json
"""

import dataclasses
import json
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from pydantic import ValidationError
from safetensors.torch import save_file

from normbench.config import RunConfig
from normbench.errors import RunFailedError, UsageError
from normbench.files import replace, replace_text
from normbench.runs.result import RunResult
from normbench.training import EpochRow


class RunFolder:
    """The files of one run."""

    def __init__(self, out: Path, experiment: str, config: RunConfig) -> None:
        norm = re.sub(r"[^A-Za-z0-9+._-]+", "-", config.norm).strip("-.")
        self.path = out / experiment / f"{norm}-s{config.seed}-{config.fingerprint[:8]}"
        self.config = config

    def result(self) -> RunResult | None:
        """The run's result, or None while it has none; its `folder` is this one, also after it was moved.

        Raises:
            RunFailedError: There is a result that cannot be read.
        """
        path = self.path / "result.json"
        if not path.exists():
            return None
        try:
            result = RunResult.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise RunFailedError(f"{path} cannot be read: {error}", "Redo the run with --force.") from error
        return result.model_copy(update={"folder": str(self.path)})

    @property
    def state(self) -> Literal["new", "interrupted", "done"]:
        """Whether there is a result, or a state to resume from."""
        if (self.path / "result.json").exists():
            return "done"
        return "interrupted" if (self.path / "state.pt").exists() else "new"

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the folder and hold it: one process at a time writes a run.

        Raises:
            UsageError: The folder cannot be written, or another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise UsageError(
                f"another process is working on {self.path}", "Wait for it, or give another --out folder."
            ) from error
        except OSError as error:
            raise UsageError(
                f"cannot write to the output folder {self.path}: {error.strerror}",
                "Give a folder that can be written: --out FOLDER",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def start(self, environment: dict[str, Any]) -> None:
        """Forget an earlier try and write what the new one starts from."""
        for name in ("result.json", "metrics.jsonl", "state.pt", "model.safetensors"):
            (self.path / name).unlink(missing_ok=True)
        self._write_json("config.json", self.config.model_dump(mode="json"))
        self._write_json("env.json", environment)

    def append(self, row: EpochRow) -> None:
        """Add one epoch's line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(row)) + "\n")

    def save_state(self, state: dict[str, Any], rows: list[EpochRow]) -> None:
        """Replace the resumable state; it carries the epochs so far, so that both are of one moment."""
        content = {"training": state, "rows": [dataclasses.asdict(row) for row in rows]}
        replace(self.path / "state.pt", lambda path: torch.save(content, path))

    def load_state(self) -> tuple[dict[str, Any], list[EpochRow]] | None:
        """The last saved state and its epochs, with metrics.jsonl cut back to them; None if there is none.

        Raises:
            RunFailedError: The file is damaged.
        """
        path = self.path / "state.pt"
        if not path.exists():
            return None
        try:
            content = torch.load(path, weights_only=True)
            rows = [EpochRow(**row) for row in content["rows"]]
            training = content["training"]
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
            raise RunFailedError(
                f"{path} is damaged, the run cannot be resumed: {error}", "Start it again with --force."
            ) from error
        lines = "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in rows)
        replace_text(self.path / "metrics.jsonl", lines)
        return training, rows

    def save_model(self, network: torch.nn.Module) -> None:
        """Write the weights and buffers as safetensors."""
        tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        replace(self.path / "model.safetensors", lambda path: save_file(tensors, path))

    def finish(self, result: RunResult) -> None:
        """Write the result, which marks the run as done, and drop the state it no longer needs."""
        self._write_json("result.json", result.model_dump(mode="json"))
        (self.path / "state.pt").unlink(missing_ok=True)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        replace_text(self.path / name, json.dumps(content, indent=2) + "\n")
