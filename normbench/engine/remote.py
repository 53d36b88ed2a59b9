"""Runs on a node of a Ray cluster. Their states and files travel back as events."""

import os
import queue
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from normbench.config import RunConfig
from normbench.custom_code import Code, store
from normbench.data import DataSet
from normbench.data.splits import Split
from normbench.device import resolve_device
from normbench.engine.callbacks import Callback
from normbench.engine.cluster import compare, local_versions
from normbench.engine.execute import ExecutionOptions
from normbench.engine.run import run_group
from normbench.engine.threads import PATIENCE, Stopped, threads_each
from normbench.errors import DataError, NormbenchError, RunFailedError, UsageError, in_one_line
from normbench.interruption import OURS
from normbench.randomness import deterministic
from normbench.runs import RunFolder, RunResult, read_environment
from normbench.runs.archive import CONFUSION, METRICS, MODEL
from normbench.runs.folder import STATE
from normbench.shortage import shortage
from normbench.training import EpochRow, graphs_for

RESULTS = (METRICS, MODEL, CONFUSION)
"""Files of a finished run that travel back beside its result."""
STEP_INTERVAL = 1.0
"""Seconds between two messages of a worker on the progress within an epoch."""


@dataclass(frozen=True)
class Arrays:
    """Data set as NumPy arrays, which lie in the object store once per node and are read in place."""

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]]
    mean: np.ndarray
    std: np.ndarray
    flips: bool

    @classmethod
    def of(cls, data: DataSet) -> "Arrays":
        """Arrays of a data set on the CPU, which share its memory."""
        splits = {"train": data.train, "validation": data.validation, "test": data.test}
        return cls(
            data.name,
            data.classes,
            {name: (split.images.numpy(), split.labels.numpy()) for name, split in splits.items() if split},
            data.mean.numpy(),
            data.std.numpy(),
            data.flips,
        )

    def on(self, device: torch.device) -> DataSet:
        """Data set on a device; on the CPU its tensors share the memory of the arrays, which nothing writes to."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            splits = {
                name: Split(torch.from_numpy(images), torch.from_numpy(labels)).to(device)
                for name, (images, labels) in self.splits.items()
            }
            mean, std = torch.from_numpy(self.mean).to(device), torch.from_numpy(self.std).to(device)
        return DataSet(
            name=self.name,
            classes=self.classes,
            train=splits["train"],
            validation=splits.get("validation"),
            test=splits["test"],
            mean=mean,
            std=std,
            flips=self.flips,
        )


@dataclass(frozen=True)
class CustomCode:
    """Code of a custom norm or network, with the name of its factory."""

    spec: str
    kind: str
    code: Code


@dataclass(frozen=True)
class Job:
    """Run group with everything that it needs on a node."""

    configs: tuple[RunConfig, ...]
    files: tuple[Mapping[str, bytes], ...]
    """Files to resume from, by name, per run; empty for a run that starts."""
    code: tuple[CustomCode, ...]
    device: str
    threads: int
    capture: bool
    deterministic: bool
    concurrent_runs: int
    save_every: float | None
    argv: tuple[str, ...]
    """Command line, for the recorded environment."""
    data_key: str
    """Identity of the data set."""
    versions: Mapping[str, str | None]


@dataclass(frozen=True)
class Started:
    """Start of a run; `environment` is None where it goes on."""

    index: int
    first_epoch: int
    environment: Mapping[str, object] | None


@dataclass(frozen=True)
class StepDone:
    """Progress of a run within an epoch."""

    index: int
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class EpochDone:
    """End of an epoch of a run."""

    index: int
    row: EpochRow


@dataclass(frozen=True)
class Saved:
    """Saved state of a run."""

    index: int
    state: bytes


@dataclass(frozen=True)
class Finished:
    """Result of a run, with the contents of its files by name."""

    index: int
    result: RunResult
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Failed:
    """Failure of a run."""

    index: int
    error: Exception


@dataclass(frozen=True)
class Warned:
    """Message for the user."""

    message: str


Event = Started | StepDone | EpochDone | Saved | Finished | Failed | Warned


def train_job(job: Job, arrays: Arrays) -> Iterator[Event]:
    """Train a run group and yield what happens; closed early, it stops before its next step."""
    sender = _Sender(job.configs)
    thread = threading.Thread(target=_work, args=(job, arrays, sender), name=f"{OURS}run", daemon=True)
    thread.start()
    try:
        while True:
            try:
                event = sender.events.get(timeout=1.0)  # on some systems a wait without end cannot be interrupted
            except queue.Empty:
                continue
            if event is None:
                return
            yield event
    finally:
        sender.stop.set()
        thread.join(PATIENCE)


class _Sender(Callback):
    """Turns calls into events."""

    def __init__(self, configs: Sequence[RunConfig]) -> None:
        self.index = {config.fingerprint: index for index, config in enumerate(configs)}
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.folders: dict[int, Path] = {}
        self.states: dict[int, int] = {}
        """Identity of the state that was sent last, by run."""
        self.stepped = 0.0
        """Time of the last progress within an epoch that was sent."""
        self.ended: set[int] = set()

    def run_started(self, config: RunConfig, folder: Path, first_epoch: int) -> None:
        """Send the start, with the environment of a new run."""
        index = self.index[config.fingerprint]
        self.folders[index] = folder
        self.events.put(Started(index, first_epoch, read_environment(folder) if first_epoch == 1 else None))

    def step_done(self, config: RunConfig, epoch: int, step: int, steps: int) -> None:
        """Send the progress of one run now and then, since thousands of workers may do so."""
        if time.monotonic() - self.stepped >= STEP_INTERVAL:
            self.stepped = time.monotonic()
            self.events.put(StepDone(self.index[config.fingerprint], epoch, step, steps))

    def epoch_done(self, config: RunConfig, row: EpochRow) -> None:
        """Send the epoch, and the state if it was saved."""
        index = self.index[config.fingerprint]
        self.events.put(EpochDone(index, row))
        path = self.folders[index] / STATE
        if row.epoch < config.training.epochs and path.exists() and self.states.get(index) != path.stat().st_mtime_ns:
            self.states[index] = path.stat().st_mtime_ns
            self.events.put(Saved(index, path.read_bytes()))

    def run_finished(self, config: RunConfig, result: RunResult, already_done: bool) -> None:  # noqa: ARG002
        """Send the result, once: a group that fails is executed again with the runs that had finished."""
        index = self.index[config.fingerprint]
        if index not in self.ended:
            self.ended.add(index)
            folder = self.folders[index]
            files = {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).exists()}
            self.events.put(Finished(index, result, files))

    def warning(self, message: str) -> None:
        """Send the message."""
        self.events.put(Warned(message))

    def failed(self, index: int, error: BaseException) -> None:
        """Send a failure, once per run."""
        if index not in self.ended:
            self.ended.add(index)
            self.events.put(Failed(index, _portable(error)))

    def interrupted(self) -> None:
        """Raise in the training thread once the task was cancelled."""
        if self.stop.is_set():
            raise Stopped


def _portable(error: BaseException) -> Exception:
    """Failure in a form that any process can read: an exception of custom code has no class elsewhere."""
    error = shortage(error) or error
    if isinstance(error, NormbenchError):
        kind = next((kind for kind in (UsageError, DataError) if isinstance(error, kind)), RunFailedError)
        return kind(error.message, error.hint, error.exit_code)
    plain = next((kind for kind in PLAIN if type(error) is kind), None)
    return plain(str(error)) if plain else RunFailedError(in_one_line(error))


PLAIN = frozenset(
    {
        ArithmeticError,
        AssertionError,
        AttributeError,
        ImportError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    }
)
"""Exceptions that are made of one text."""


def _work(job: Job, arrays: Arrays, sender: _Sender) -> None:
    """Train the runs of a job in a temporary folder."""
    try:
        compare("of this run", job.versions, local_versions())
        data = _data(job, arrays)
        for code in job.code:
            _store(code)
        with (
            tempfile.TemporaryDirectory(prefix=f"{OURS}{os.getpid()}-") as out,
            _command_line(job.argv),
            threads_each(job.threads),
            deterministic(job.deterministic),
        ):
            folders = [RunFolder(Path(out), "run", config) for config in job.configs]
            for folder, files in zip(folders, job.files, strict=True):
                folder.path.mkdir(parents=True)
                for name, content in files.items():
                    (folder.path / name).write_bytes(content)
            options = ExecutionOptions(
                graphs=graphs_for(data.train.images.device) if job.capture else None,
                concurrent_runs=job.concurrent_runs,
                interrupted=sender.interrupted,
                save_every=job.save_every,
            )
            for folder, outcome in run_group(folders, data, sender, options):
                if isinstance(outcome, Exception):
                    sender.failed(folders.index(folder), outcome)
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001  # sent to the driver
        for index in range(len(job.configs)):
            sender.failed(index, error)
    finally:
        sender.events.put(None)


@contextmanager
def _command_line(argv: Sequence[str]) -> Iterator[None]:
    """Let the recorded command line be that of the driver."""
    before, sys.argv = sys.argv, list(argv)
    try:
        yield
    finally:
        sys.argv = before


_DATA: dict[tuple[str, str], DataSet] = {}
"""Data set on the device of this process, by its identity: runs that follow each other share it."""
_FOLDERS: dict[tuple[str, str], "tempfile.TemporaryDirectory[str]"] = {}
"""Folders of custom code in this process, by kind and digest."""


def _data(job: Job, arrays: Arrays) -> DataSet:
    """Data set of a job; on the CPU it stays in the object store."""
    device = resolve_device(job.device)
    if device.type == "cpu":
        return arrays.on(device)
    key = job.data_key, str(device)
    if key not in _DATA:
        _DATA.clear()
        _DATA[key] = arrays.on(device)
    return _DATA[key]


def _store(custom: CustomCode) -> None:
    """Write custom code where this process imports it from."""
    key = custom.kind, custom.code.digest
    if key not in _FOLDERS:
        _FOLDERS[key] = tempfile.TemporaryDirectory(prefix=f"{OURS}{os.getpid()}-code-")
    store(custom.spec, custom.kind, custom.code, Path(_FOLDERS[key].name))
