"""Contenders: ways to train, by name; each is a function of a job, the images and a clock."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet

Train = Callable[[Job, DataSet, Clock], None]


@dataclass(frozen=True)
class Entry:
    """Contender with its requirements; its module is imported only in the process that runs it."""

    name: str
    title: str
    function: str
    """`module:function`, relative to `benchmarks.contenders`."""
    needs: str | None = None
    """Package of the `bench` extra."""
    only: str | None = None
    """Type of the only device that it trains on."""
    has_workers: bool = True
    """True if it prepares images in worker processes, whose number is chosen in a rehearsal."""

    def missing(self, device: torch.device | None = None) -> str | None:
        """Explain why it cannot run here, or on a device, with a remedy where there is one; None if it can."""
        if device and self.only and device.type != self.only:
            return f"it trains on {self.only} only"
        if self.needs is None or importlib.util.find_spec(self.needs):
            return None
        return f"{self.needs} is not installed: pip install 'normbench[bench]'"

    def load(self) -> Train:
        """Import the function."""
        module, _, function = self.function.partition(":")
        train: Train = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), function)
        return train


SINGLE_RUN, RUN_GROUP = "normbench", "run-group"

CONTENDERS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(SINGLE_RUN, "normbench, one run", "single_run:train", has_workers=False),
        Entry(RUN_GROUP, "normbench, runs of one comparison", "run_group:train", has_workers=False),
        Entry("loop", "the usual loop: torchvision, DataLoader, `.item()` every step", "loop:train"),
        Entry("loop-tuned", "the same loop, channels_last, `.item()` once an epoch", "loop:train_tuned"),
        Entry("lightning", "PyTorch Lightning (barebones)", "lightning_trainer:train", needs="lightning"),
        Entry("timm", "timm: loader, optimizer, scheduler, loop", "timm_loop:train", needs="timm"),
        Entry(
            "airbench",
            "airbench: its loader on the device, its loop in float16",
            "airbench_loop:train",
            needs="airbench",
            only="cuda",
            has_workers=False,
        ),
    )
}
