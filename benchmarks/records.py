"""Records of a benchmark: one JSON document, from which table, README and plot are made."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


def count(number: int, noun: str) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Record(BaseModel):
    """A part of the document; unknown keys are refused, so that an old file is not misread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(Record):
    """A figure over repeats."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]


class Memory(Record):
    """Peak growth in bytes over the images and the untrained network; None where it cannot be told."""

    host_bytes: int | None = None
    """Memory of the process and its workers, shared pages divided among them (PSS)."""
    cuda_bytes: int | None = None
    """Memory that torch allocated on the CUDA device."""


class Setup(Record):
    """Threads of torch and worker processes that a contender was fastest with, of those it was tried with."""

    threads: int
    workers: int

    def __str__(self) -> str:
        """In words, as tables name it."""
        return f"{count(self.threads, 'thread')}, {count(self.workers, 'worker')}"


class Contender(Record):
    """One way to train, measured; or the reason why it was not."""

    name: str
    title: str
    skipped: str | None = None
    setup: Setup | None = None
    tried: dict[str, float] = {}
    """Images per second of the rehearsal, by setup."""
    runs: int = 1
    """Networks trained at once."""
    images: int = 0
    """Images in an epoch of one run."""
    images_per_second: Spread | None = None
    """Total over all runs."""
    seconds_per_epoch: Spread | None = None
    """Wall-clock time over epochs and runs."""
    ratio: Spread | None = None
    """Images per second over those of normbench alone, within each repeat."""
    memory: Memory | None = None
    initial_loss: float | None = None
    """Loss of the untrained network on the first images: equal for all that train the same network."""
    losses: tuple[float, ...] = ()
    """Training loss by epoch, the warm-up first; of a fleet, the first run's last epoch, by repeat."""


class Point(Record):
    """One point of a curve."""

    series: str
    x: int
    images_per_second: Spread
    setup: Setup


class NormCost(Record):
    """Cost of a norm in one training step of the whole network, at its real shapes."""

    norm: str
    layers: int
    forward_milliseconds: Spread
    backward_milliseconds: Spread
    saved_bytes: int
    """Tensors that the forward pass keeps for the backward pass, each once, parameters left out."""


class Phase(Record):
    """A part of a command, in seconds of wall-clock."""

    name: str
    seconds: float


class Breakdown(Record):
    """A whole command, from the shell prompt to the table."""

    command: str
    seconds: float
    phases: tuple[Phase, ...]


class Results(Record):
    """The document."""

    schema_version: int = SCHEMA_VERSION
    date: str
    """UTC."""
    seconds: int
    """Duration of the benchmark, including the loading of the images."""
    conditions: dict[str, Any]
    """Hardware, threads, versions, git commit, load."""
    settings: dict[str, Any]
    """Settings of the trainings and repeats."""
    contenders: tuple[Contender, ...] = ()
    batch_sizes: tuple[Point, ...] = ()
    runs: tuple[Point, ...] = ()
    norms: tuple[Point, ...] = ()
    norm_costs: tuple[NormCost, ...] = ()
    breakdown: Breakdown | None = None


def write(results: Results, path: Path) -> None:
    """As indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """A document that `write` wrote."""
    return Results.model_validate_json(path.read_text(encoding="utf-8"))
