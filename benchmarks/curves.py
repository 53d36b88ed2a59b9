"""Speed by batch size, by number of runs in a run group, and by number of norms."""

from collections.abc import Callable, Iterator

import torch

from benchmarks.bench import Bench
from benchmarks.contenders import CONTENDERS, RUN_GROUP, SINGLE_RUN
from benchmarks.job import Job
from benchmarks.measure import Clock, OtherWork, spread
from benchmarks.records import Point, Setup, Spread
from normbench.config import RunConfig
from normbench.data import DataSet

BATCH_SIZES = (32, 64, 128, 256, 512)
NORMS = ("bn", "gn", "ln", "in", "ln-c", "rms")
"""Norms of the run groups, the first ones first; all fit the parameter budget."""

Log = Callable[[str], None]


def batch_sizes(bench: Bench, data: DataSet, loop_setup: Setup, log: Log) -> Iterator[Point]:
    """Measure images per second of a single run and of the usual loop, by batch size."""
    for size in (size for size in BATCH_SIZES if size <= len(data.train)):
        for name, setup in ((SINGLE_RUN, bench.setup), ("loop", loop_setup)):
            log(f"batch size {size}: {name}")
            yield _point(name, size, bench.curve_job(setup, size), data)


def run_counts(bench: Bench, data: DataSet, log: Log) -> Iterator[Point]:
    """Measure images per second of a run group of one norm, by number of seeds."""
    for count in bench.counts:
        log(f"{count} runs of {bench.norm}")
        yield _group_point(count, bench, bench.group((bench.norm,), count, 1, bench.curve_images), data)


def norm_counts(bench: Bench, data: DataSet, log: Log) -> Iterator[Point]:
    """Measure images per second of a run group of one seed, by number of norms."""
    for count in (count for count in bench.counts if count <= len(NORMS)):
        norms = NORMS[:count]
        log(f"norms: {', '.join(norms)}")
        yield _group_point(count, bench, bench.group(norms, 1, 1, bench.curve_images), data)


def _group_point(count: int, bench: Bench, group: tuple[RunConfig, ...], data: DataSet) -> Point:
    return _point(RUN_GROUP, count, bench.curve_job(bench.setup, bench.batch_size, group), data)


def _point(name: str, x: int, job: Job, data: DataSet) -> Point:
    return Point(series=name, x=x, images_per_second=speed(name, job, data), setup=job.setup)


def speed(name: str, job: Job, data: DataSet) -> Spread:
    """Measure images per second over the laps of a contender in this process, without the warm-up."""
    torch.set_num_threads(job.setup.threads)
    clock, work = Clock(job.device), OtherWork()
    train = CONTENDERS[name].load()
    with work.watching():
        train(job, data, clock)
    images = job.images(data) * max(1, len(job.group))
    return spread([images / lap.seconds for lap in clock.laps[1:]], work.load)
