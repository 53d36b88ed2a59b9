"""Speed by batch size, by number of runs in a run group, and by number of norms."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.bench import Bench
from benchmarks.contenders import ALONE, CONTENDERS, FLEET
from benchmarks.job import Job
from benchmarks.measure import Clock, spread
from benchmarks.records import Point, Setup, Spread
from normbench.config import RunConfig
from normbench.data import DataSet

BATCH_SIZES = (32, 64, 128, 256, 512)
NORMS = ("bn", "gn", "ln", "in", "ln-c", "rms")
"""The first of them are a fleet of so many norms; all fit the parameter budget."""

Tell = Callable[[str], None]


def batch_sizes(bench: Bench, data: DataSet, loop_setup: Setup, tell: Tell) -> Iterator[Point]:
    """Images per second of normbench alone and of the usual loop, by batch size."""
    for size in (size for size in BATCH_SIZES if size <= len(data.train)):
        for name, setup in ((ALONE, bench.setup), ("loop", loop_setup)):
            tell(f"batch size {size}: {name}")
            yield _point(name, size, bench.curve_job(setup, size), data)


def run_counts(bench: Bench, data: DataSet, tell: Tell) -> Iterator[Point]:
    """Images per second of all runs of a fleet of one norm, by its number of seeds."""
    for count in bench.counts:
        tell(f"{count} runs of {bench.norm}")
        yield _fleet_point(count, bench, bench.fleet((bench.norm,), count, 1, bench.curve_images), data)


def norm_counts(bench: Bench, data: DataSet, tell: Tell) -> Iterator[Point]:
    """Images per second of all runs of a fleet of one seed, by its number of norms."""
    for count in (count for count in bench.counts if count <= len(NORMS)):
        norms = NORMS[:count]
        tell(f"norms: {', '.join(norms)}")
        yield _fleet_point(count, bench, bench.fleet(norms, 1, 1, bench.curve_images), data)


def _fleet_point(count: int, bench: Bench, fleet: tuple[RunConfig, ...], data: DataSet) -> Point:
    return _point(FLEET, count, bench.curve_job(bench.setup, bench.batch_size, fleet), data)


def _point(name: str, x: int, job: Job, data: DataSet) -> Point:
    return Point(series=name, x=x, images_per_second=speed(name, job, data), setup=job.setup)


def speed(name: str, job: Job, data: DataSet) -> Spread:
    """Images per second over the laps of a contender in this process, the warm-up left out."""
    torch.set_num_threads(job.setup.threads)
    clock = Clock(job.device)
    CONTENDERS[name].load()(job, data, clock)
    images = job.images(data) * max(1, len(job.fleet))
    return spread([images / lap.seconds for lap in clock.laps[1:]])
