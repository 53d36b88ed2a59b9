"""Cost of a plan: time, memory and disk, measured by a few steps or taken from earlier runs."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from normbench.config import NetworkConfig, RunConfig
from normbench.data import DataSet, Split
from normbench.device import describe, synchronize
from normbench.engine.concurrency import cores
from normbench.engine.plan import Plan
from normbench.engine.threads import threads_each
from normbench.errors import NormbenchError
from normbench.networks import IMAGE_SHAPE, build_for
from normbench.runs import RunFolder, RunResult, list_experiment, read_rows
from normbench.runs.archive import METRICS
from normbench.training import Training

IMAGES = {"cifar10": (50_000, 10_000), "digits": (1_437, 360)}
"""Training and test images, by data set."""
MEASURED_BATCH = 64
"""Largest batch of the steps that are timed: beyond it the time of a step grows with the batch."""
STEPS = 4
"""Timed steps per model, after one that is not; the fastest counts, as other programs slow some of them down."""
PATIENCE = 1.5
"""Seconds after which no further model is timed; those that are left are taken to be like the others."""
FORWARD = 1 / 3
"""Share of a step that scoring as many images takes."""
EARLIER, MEASURED = "earlier runs", "a few steps"
LATER = 150_000_000
"""Bytes of what the training itself loads, such as the readers of images: measured on Linux with both data sets."""
RUN_FILES = 10_000
"""Bytes of the files of a run beside its weights."""

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Model = tuple[str, NetworkConfig, int]
"""Norm, network and batch size: what the time of a step depends on."""


@dataclass(frozen=True)
class Estimate:
    """Cost of the runs of a plan that have no result yet."""

    runs: int
    """Runs to train."""
    seconds: float | None
    """Wall-clock time of all of them; None where nothing could be timed."""
    source: str | None
    """Origin of the seconds: `EARLIER` or `MEASURED`."""
    at_most: bool
    """True where the runs will be faster than that: steps that are captured, or trained together, on CUDA."""
    memory: int
    """Bytes, on the host and on the device."""
    disk: int
    """Bytes that the runs leave."""
    free_disk: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "runs": self.runs,
            "seconds": self.seconds,
            "source": self.source,
            "at_most": self.at_most,
            "memory_bytes": self.memory,
            "disk_bytes": self.disk,
            "free_disk_bytes": self.free_disk,
        }


def estimate(plan: Plan) -> Estimate:
    """Estimate the cost of what is left of a plan. It trains a few steps on noise, and writes nothing.

    The time that a cluster takes is not estimated: its steps cannot be timed here.
    Custom code is not run for it: its runs are taken to be like those of built-in norms, if there are any.
    """
    folders = [folder for folder in plan.folders if plan.machine.force or folder.state != "done"]
    waiting = [folder.config for folder in folders]
    known = plan.machine.engine == "local" and all(config.data.name in IMAGES for config in waiting)
    per_step, source = _earlier(plan, waiting) if known else None, EARLIER
    if waiting and known and per_step is None:
        per_step, source = _measured(plan, waiting), MEASURED
    seconds = None
    if waiting and per_step:
        left = [(folder.config, _epochs_left(folder, plan.machine.force)) for folder in folders]
        seconds = sum(_seconds(config, epochs, per_step) for config, epochs in left) / _parallel(plan, len(left))
    return Estimate(
        runs=len(waiting),
        seconds=seconds,
        source=None if seconds is None else source,
        at_most=plan.device.type == "cuda" and source == MEASURED,
        memory=_memory(plan, waiting),
        disk=sum(4 * plan.parameters_of(config) + RUN_FILES for config in waiting),
        free_disk=_free_disk(plan.machine.out),
    )


def train_images(config: RunConfig) -> int:
    """Number of images that a run is trained on, its validation split apart."""
    published, _ = IMAGES.get(config.data.name, IMAGES["cifar10"])
    held_out = round(published * config.data.val_split)
    return min(config.data.subset or published, published - held_out)


def _epochs_left(folder: RunFolder, force: bool) -> int:
    """Epochs that a run has still to train: those after its last one, where it is resumed."""
    epochs = folder.config.training.epochs
    if force or folder.state != "interrupted":
        return epochs
    try:
        return max(0, epochs - len(read_rows(folder.path / METRICS)))
    except NormbenchError:
        return epochs


def _seconds(config: RunConfig, epochs: int, per_step: dict[Model, float]) -> float:
    """Seconds of one run: its steps, and the scoring of validation, train and test images."""
    step = _of_model(config, per_step)
    batch = config.training.batch_size
    images = train_images(config)
    steps = epochs * (images // batch) * step
    published, test = IMAGES.get(config.data.name, IMAGES["cifar10"])
    validated = epochs * round(published * config.data.val_split)
    return steps + (images + test + validated) / batch * step * FORWARD


def _of_model(config: RunConfig, per_step: dict[Model, float]) -> float:
    """Seconds of a step of a run's model, or of one that is most like it."""
    model = _model(config)
    if model in per_step:
        return per_step[model]
    alike = [seconds for other, seconds in per_step.items() if other[1:] == model[1:]]
    if alike:
        return sum(alike) / len(alike)
    per_image = [seconds / batch for (_, _, batch), seconds in per_step.items()]
    return sum(per_image) / len(per_image) * config.training.batch_size


def _model(config: RunConfig) -> Model:
    return config.norm, config.network, config.training.batch_size


def _earlier(plan: Plan, waiting: Sequence[RunConfig]) -> dict[Model, float] | None:
    """Seconds of a step in runs that the experiment has already; None where they do not cover the plan."""
    entries = list_experiment(plan.folders[0].path.parent)
    with threads_each(plan.concurrency.threads):
        device = describe(plan.device)
    seconds: dict[Model, list[float]] = {}
    for entry in entries:
        if entry.config is not None and entry.result is not None and _is_like(entry.result, plan, device):
            step = entry.config.training.batch_size / (entry.result.images_per_second or 1.0)
            seconds.setdefault(_model(entry.config), []).append(step)
    if not waiting or any(_model(config) not in seconds for config in waiting):
        return None
    return {model: sum(values) / len(values) for model, values in seconds.items()}


def _is_like(result: RunResult, plan: Plan, device: str) -> bool:
    """Test if a run was finished on this device, as many at once as the plan trains."""
    together = min(plan.concurrency.runs, len(plan.configs))
    return (
        result.status == "done"
        and result.images_per_second is not None
        and (result.device, result.side_by_side) == (device, together)
    )


def _measured(plan: Plan, waiting: Sequence[RunConfig]) -> dict[Model, float]:
    """Time a few steps of each model, until the patience for it ends."""
    started = time.monotonic()
    per_step: dict[Model, float] = {}
    with threads_each(plan.concurrency.threads):
        for config in {_model(config): config for config in waiting if not config.has_custom_code}.values():
            if per_step and time.monotonic() - started > PATIENCE:
                break
            per_step[_model(config)] = _step_seconds(config, plan.device)
    return per_step


def _step_seconds(config: RunConfig, device: torch.device) -> float:
    """Seconds of one step on noise, for the batch of the run."""
    batch = min(config.training.batch_size, MEASURED_BATCH)
    settings = {"batch_size": batch, "schedule": "constant"}
    small = config.model_copy(update={"training": config.training.model_copy(update=settings)})
    training = Training(small, build_for(small), _noise(batch, device))
    training.batches.start(1)
    training.begin(1)
    images, labels = training.batches.next()
    training.step(images, labels)
    synchronize(device)
    times = []
    for _ in range(STEPS):
        started = time.perf_counter()
        training.step(images, labels)
        synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times) * config.training.batch_size / batch


def _noise(images: int, device: torch.device) -> DataSet:
    rng = torch.Generator().manual_seed(0)
    split = Split(
        torch.randint(256, (images, *IMAGE_SHAPE), generator=rng, dtype=torch.uint8),
        torch.randint(10, (images,), generator=rng),
    ).to(device)
    level = torch.full((3, 1, 1), 127.5, device=device)
    classes = tuple(map(str, range(10)))
    return DataSet("noise", classes, split, None, split, level, level / 2, flips=False)


def _parallel(plan: Plan, waiting: int) -> float:
    """Runs that the device advances at once, in runs' worth of time; on CUDA those in a group are not timed."""
    together = min(plan.concurrency.runs, waiting)
    if plan.device.type != "cpu" or plan.concurrency.threads is None:
        return 1.0
    return max(1.0, min(together, cores() / plan.concurrency.threads))


def _memory(plan: Plan, waiting: Sequence[RunConfig]) -> int:
    """Bytes of the process so far, of the images, and of the batches of an epoch of every concurrent run."""
    if not waiting:
        return 0
    size = IMAGE_SHAPE[0] * IMAGE_SHAPE[1] * IMAGE_SHAPE[2]
    published, test = IMAGES.get(waiting[0].data.name, IMAGES["cifar10"])
    seeds = len({config.seed for config in waiting})
    epochs = min(plan.concurrency.runs, len(waiting)) if plan.device.type == "cpu" else seeds
    return _resident() + LATER + size * (published + test) + size * train_images(waiting[0]) * (1 + epochs)


def _resident() -> int:
    """Largest memory of the process so far; 0 where the system does not say."""
    if resource is None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _free_disk(out: Path) -> int | None:
    """Free bytes where the runs will lie."""
    for folder in (out, *out.absolute().parents):
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            continue
    return None
