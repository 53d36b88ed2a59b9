"""One benchmark: what is trained, on what, how often; and the jobs that follow from it."""

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
    """Timed in each repeat."""
    repeats: int
    images: int
    curve_images: int
    counts: tuple[int, ...]
    """Runs, and norms, of the fleets of the curves."""
    threads: int
    workers: tuple[int, ...] | None
    """Worker processes that the DataLoaders may choose from; None for the usual few."""

    @property
    def batch_size(self) -> int:
        """Batch size of every contender; a curve varies it."""
        return self.recipe.training.batch_size

    @property
    def setup(self) -> Setup:
        """All threads, no workers."""
        return Setup(threads=self.threads, workers=0)

    def run(self, norm: str, seed: int, epochs: int, images: int, batch_size: int) -> RunConfig:
        """A run of the recipe; it never reads the test images, which costs time and tells nothing here."""
        data = self.recipe.data.model_copy(update={"subset": images})
        training = self.recipe.training.model_copy(update={"epochs": epochs, "batch_size": batch_size})
        recipe = self.recipe.model_copy(update={"data": data, "training": training})
        return recipe.run(norm, seed, read_test=False)

    def contender_job(self, fleet: bool) -> Job:
        """The job of a contender: warm-up and timed epochs, or as many trainings of the fleet."""
        laps = 1 + self.repeats * (1 if fleet else self.epochs)
        config = self.run(self.norm, 0, 1 + self.repeats * self.epochs, self.images, self.batch_size)
        runs = self.fleet(self.norms, self.seeds, self.epochs, self.images) if fleet else ()
        return Job(config, self.machine, self.device, self.setup, laps, runs)

    def fleet(self, norms: tuple[str, ...], seeds: int, epochs: int, images: int) -> tuple[RunConfig, ...]:
        """Every norm with every seed."""
        return tuple(self.run(norm, seed, epochs, images, self.batch_size) for norm in norms for seed in range(seeds))

    def curve_job(self, setup: Setup, batch_size: int, fleet: tuple[RunConfig, ...] = ()) -> Job:
        """The job of one point of a curve: few images, a warm-up and as many timed laps as there are repeats."""
        laps = 1 + self.repeats
        config = self.run(self.norm, 0, laps, self.curve_images, batch_size)
        return Job(config, self.machine, self.device, setup, laps, fleet)

    def choices(self, has_workers: bool) -> list[Setup]:
        """Setups that a contender is tried with."""
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
            "fleet": [f"{norm}, seed {seed}" for norm in self.norms for seed in range(self.seeds)],
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "repeats": self.repeats,
            "curve_images": self.curve_images,
            "counts": list(self.counts),
            "threads": self.threads,
            "run": self.contender_job(fleet=False).config.model_dump(mode="json"),
        }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
