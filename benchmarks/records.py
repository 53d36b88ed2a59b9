"""Records of a benchmark: the JSON document that table, README and plot are made from."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


def count(number: int, noun: str) -> str:
    """Format a number with its noun: `1 thread`, `2 threads`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Record(BaseModel):
    """Part of the document; unknown keys are refused, so that an old file is not misread."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(Record):
    """Figure over repeats."""

    median: float
    low: float
    high: float
    values: tuple[float, ...]
    load: float | None = None
    """Processors that other processes kept busy during the measurement, on average; None if it is not known."""


class Memory(Record):
    """Peak growth in bytes, beyond the images and the untrained network; None if it is not available."""

    host_bytes: int | None = None
    """Memory of the process and its workers; shared pages are divided among them (PSS)."""
    cuda_bytes: int | None = None
    """Memory that torch allocated on the CUDA device."""


class Setup(Record):
    """Number of torch threads and of worker processes; of those that were tried, the fastest."""

    threads: int
    workers: int

    def __str__(self) -> str:
        """Format it for tables."""
        return f"{count(self.threads, 'thread')}, {count(self.workers, 'worker')}"


class Contender(Record):
    """Measurements of one way to train, or the reason why there are none."""

    name: str
    title: str
    skipped: str | None = None
    setup: Setup | None = None
    tried: dict[str, float] = {}
    """Images per second in the rehearsal, by setup."""
    runs: int = 1
    """Number of networks trained concurrently."""
    images: int = 0
    """Number of images in an epoch of one run."""
    images_per_second: Spread | None = None
    """Total over all runs."""
    seconds_per_epoch: Spread | None = None
    """Wall-clock time divided by epochs and runs."""
    ratio: Spread | None = None
    """Images per second relative to those of a single run of normbench, within each repeat."""
    memory: Memory | None = None
    initial_loss: float | None = None
    """Loss of the untrained network on the first images: equal for all contenders with the same network."""
    losses: tuple[float, ...] = ()
    """Training loss by epoch, the warm-up first; of a run group, by repeat, the last epoch of its first run."""


class Point(Record):
    """Point of a curve."""

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
    """Bytes that the forward pass keeps for the backward pass, each tensor once, without parameters."""


class Phase(Record):
    """Phase of a command, in seconds of wall-clock time."""

    name: str
    seconds: float


class Breakdown(Record):
    """Time of a whole command, from the shell prompt to the table."""

    command: str
    seconds: float
    phases: tuple[Phase, ...]
    load: float | None = None
    """Processors that other processes kept busy meanwhile, on average."""


class Goal(Record):
    """Ratio that training on a CPU is to reach, with what was measured in the same run."""

    title: str
    least: float
    """Smallest ratio that meets the goal."""
    ratio: Spread
    """Ratio in each repeat."""
    figures: dict[str, float] = {}
    """Parts of the ratio by name, medians over the repeats."""

    @property
    def met(self) -> bool:
        """True if the median reaches the goal."""
        return self.ratio.median >= self.least


class Results(Record):
    """Document of a benchmark."""

    schema_version: int = SCHEMA_VERSION
    date: str
    """Date and time in UTC."""
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
    goals: tuple[Goal, ...] = ()


def write(results: Results, path: Path) -> None:
    """Write the document as indented JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    """Read a document that `write` wrote."""
    return Results.model_validate_json(path.read_text(encoding="utf-8"))
