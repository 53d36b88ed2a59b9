"""The ways to train that are compared, by name. Each is a function of a job, the images and a clock."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.job import Job
from benchmarks.measure import Clock
from normbench.data import DataSet

Train = Callable[[Job, DataSet, Clock], None]


@dataclass(frozen=True)
class Entry:
    """A contender, and what it needs; its module is imported only where it runs."""

    name: str
    title: str
    where: str
    """`module:function`, below `benchmarks.contenders`."""
    needs: str | None = None
    """Package of the `bench` extra."""
    has_workers: bool = True
    """True if it prepares images in worker processes, and so has setups to choose from."""

    def missing(self) -> str | None:
        """Reason that it cannot run here, with the way out; None if it can."""
        if self.needs is None or importlib.util.find_spec(self.needs):
            return None
        return f"{self.needs} is not installed: pip install 'normbench[bench]'"

    def load(self) -> Train:
        """The function; imports what it needs."""
        module, _, function = self.where.partition(":")
        train: Train = getattr(importlib.import_module(f"benchmarks.contenders.{module}"), function)
        return train


ALONE, FLEET = "normbench", "fleet"

CONTENDERS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(ALONE, "normbench, one run", "alone:train", has_workers=False),
        Entry(FLEET, "normbench, runs of one comparison", "fleet:train", has_workers=False),
        Entry("loop", "the usual loop: torchvision, DataLoader, `.item()` every step", "loop:train"),
        Entry("loop-tuned", "the same loop, channels_last, `.item()` once an epoch", "loop:train_tuned"),
        Entry("lightning", "PyTorch Lightning (barebones)", "lightning_trainer:train", needs="lightning"),
        Entry("timm", "timm: loader, optimizer, scheduler, loop", "timm_loop:train", needs="timm"),
    )
}
