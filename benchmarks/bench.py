"""Settings of a benchmark, and the jobs of its contenders and curves."""

import os
from dataclasses import dataclass

import torch

from benchmarks.job import Job, setups
from benchmarks.records import Setup
from normbench.config import MachineConfig, Recipe, RunConfig
from normbench.data import DataSet


@dataclass(frozen=True)
class Bench:
    """Settings that all contenders and curves share."""

    recipe: Recipe
    machine: MachineConfig
    device: torch.device
    norm: str
    """Norm of every contender but the run group."""
    norms: tuple[str, ...]
    """Norms of the run group, each with every seed."""
    seeds: int
    epochs: int
    """Epochs timed in each repeat."""
    repeats: int
    images: int
    curve_images: int
    counts: tuple[int, ...]
    """Numbers of runs, and of norms, in the run groups of the curves."""
    threads: int
    workers: tuple[int, ...] | None
    """Numbers of DataLoader workers to choose from; None for the default ones."""

    @property
    def batch_size(self) -> int:
        """Batch size of every contender; a curve varies it."""
        return self.recipe.training.batch_size

    @property
    def setup(self) -> Setup:
        """Setup with all threads and no workers."""
        return Setup(threads=self.threads, workers=0)

    def run(self, norm: str, seed: int, epochs: int, images: int, batch_size: int) -> RunConfig:
        """Return a run of the recipe; it never reads the test images, which would only cost time."""
        data = self.recipe.data.model_copy(update={"subset": images})
        training = self.recipe.training.model_copy(update={"epochs": epochs, "batch_size": batch_size})
        recipe = self.recipe.model_copy(update={"data": data, "training": training})
        return recipe.run(norm, seed, read_test=False)

    def contender_job(self, is_group: bool) -> Job:
        """Return the job of a contender: warm-up and timed epochs, or as many trainings of the run group."""
        laps = 1 + self.repeats * (1 if is_group else self.epochs)
        config = self.run(self.norm, 0, 1 + self.repeats * self.epochs, self.images, self.batch_size)
        group = self.group(self.norms, self.seeds, self.epochs, self.images) if is_group else ()
        return Job(config, self.machine, self.device, self.setup, laps, group)

    def group(self, norms: tuple[str, ...], seeds: int, epochs: int, images: int) -> tuple[RunConfig, ...]:
        """Return the runs of a group: every norm with every seed."""
        return tuple(self.run(norm, seed, epochs, images, self.batch_size) for norm in norms for seed in range(seeds))

    def curve_job(self, setup: Setup, batch_size: int, group: tuple[RunConfig, ...] = ()) -> Job:
        """Return the job of one point of a curve: few images, a warm-up, and a timed lap per repeat."""
        laps = 1 + self.repeats
        config = self.run(self.norm, 0, laps, self.curve_images, batch_size)
        return Job(config, self.machine, self.device, setup, laps, group)

    def choices(self, has_workers: bool) -> list[Setup]:
        """List the setups that a contender is tried with."""
        if not has_workers:
            return [self.setup]
        return setups(self.device, self.threads, cores(), self.workers)

    def settings(self, data: DataSet) -> dict[str, object]:
        """Return the settings that the figures hold for."""
        return {
            "dataset": data.name,
            "images": len(data.train),
            "network": self.recipe.network.name,
            "norm": self.norm,
            "run_group": [f"{norm}, seed {seed}" for norm in self.norms for seed in range(self.seeds)],
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "repeats": self.repeats,
            "curve_images": self.curve_images,
            "counts": list(self.counts),
            "threads": self.threads,
            "run": self.contender_job(is_group=False).config.model_dump(mode="json"),
        }


def cores() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
