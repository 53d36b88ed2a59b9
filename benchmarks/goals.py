"""Goals of training on a CPU, as ratios of figures that are measured in turns in one run.

Norms against no norm and runs in a group against runs alone are steps of the training (batch, forward, backward,
update) on one thread each.
"""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count

import torch

from benchmarks.bench import Bench, cores
from benchmarks.contenders import RUN_GROUP
from benchmarks.measure import OtherWork, spread
from benchmarks.records import Breakdown, Contender, Goal
from normbench import networks
from normbench.config.settings import Precision
from normbench.data import DataSet
from normbench.device import lacks_bf16
from normbench.engine.threads import threads_each
from normbench.evaluation import evaluate
from normbench.training import Training

GROUP = 0.95
"""Share of the sum of the speeds alone that a group of as many runs as cores keeps."""
NORMED: dict[Precision, float] = {"fp32": 0.90, "bf16": 0.85}
"""Share of the speed without a norm that a step with one keeps, by precision."""
TUNED_LOOP = 1.37
SCORING = 1.9
SCORING_BEFORE = 500
"""Images in a batch of the scoring that today's is compared with."""
NORMS = ("bn", "gn", "ln")
STEPS = 6
"""Timed steps of a turn, after one untimed."""

VERBS = ("train", "score")
"""First words of two phases of a command."""

Step = Callable[[], object]


def measured_goals(bench: Bench, data: DataSet) -> Iterator[Goal]:
    """Measure the goals of steps and of scoring on a CPU.

    They belong before other parts in this process: memory that those have freed makes large batches faster.
    """
    with threads_each(1):
        yield group_goal(bench, data)
        for precision in NORMED:
            if precision != "bf16" or not lacks_bf16(bench.device):
                yield from norm_goals(bench, data, precision)
        yield scoring_goal(bench, data)


def derived_goals(contenders: Sequence[Contender], whole: Breakdown | None) -> Iterator[Goal]:
    """Compare the figures of contenders and of the whole command, where these have been measured."""
    yield from loop_goal(contenders)
    yield from command_goal(whole)


def norm_goals(bench: Bench, data: DataSet, precision: Precision) -> Iterator[Goal]:
    """Compare the steps of the norms with the step without one, in turns."""
    steps = {norm: training_step(bench, data, norm, precision) for norm in ("none", *NORMS)}
    speeds: dict[str, list[float]] = {norm: [] for norm in steps}
    work = OtherWork()
    for turn in range(1 + bench.repeats):
        with work.watching():
            for norm, step in _rotated(list(steps.items()), turn):
                speed = bench.batch_size / _median_seconds(step)
                if turn:  # the first turn warms up
                    speeds[norm].append(speed)
    for norm in NORMS:
        ratios = [a / b for a, b in zip(speeds[norm], speeds["none"], strict=True)]
        yield Goal(
            title=f"{norm} / no norm, step in {precision}, images/s",
            least=NORMED[precision],
            ratio=spread(ratios, work.load),
            figures={name: statistics.median(speeds[name]) for name in (norm, "none")},
        )


def group_goal(bench: Bench, data: DataSet) -> Goal:
    """Compare as many concurrent runs as there are cores, a thread each, with the same runs alone."""
    steps = [training_step(bench, data, bench.norm, "fp32", seed) for seed in range(cores())]
    alone, together, work = [], [], OtherWork()
    for turn in range(1 + bench.repeats):
        with work.watching():
            sum_alone = sum(speed for step in steps for speed in _speeds([step], bench.batch_size))
            sum_together = sum(_speeds(steps, bench.batch_size))
        if turn:
            alone.append(sum_alone)
            together.append(sum_together)
    return Goal(
        title=f"{len(steps)} runs on {len(steps)} cores / the sum of their speeds alone",
        least=GROUP,
        ratio=spread([a / b for a, b in zip(together, alone, strict=True)], work.load),
        figures={"together": statistics.median(together), "sum alone": statistics.median(alone)},
    )


def scoring_goal(bench: Bench, data: DataSet) -> Goal:
    """Compare scoring in the batches of the device with scoring in the large ones of before."""
    network = _training(bench, data, bench.norm, "fp32").network
    speeds: dict[int | None, list[float]] = {None: [], SCORING_BEFORE: []}
    work = OtherWork()
    for turn in range(1 + bench.repeats):
        with work.watching():
            for size, figures in speeds.items():
                started = time.perf_counter()
                evaluate(network, data.train, data, "fp32", size)
                if turn:
                    figures.append(len(data.train) / (time.perf_counter() - started))
    return Goal(
        title=f"scoring in batches that fit the cache / in batches of {SCORING_BEFORE}",
        least=SCORING,
        ratio=spread([a / b for a, b in zip(*speeds.values(), strict=True)], work.load),
        figures=dict(zip(("now", "before"), map(statistics.median, speeds.values()), strict=True)),
    )


def loop_goal(contenders: Sequence[Contender]) -> Iterator[Goal]:
    """Compare the run group with the tuned loop, from their turns as contenders."""
    speeds = {contender.name: contender.images_per_second for contender in contenders}
    group, loop = speeds.get(RUN_GROUP), speeds.get("loop-tuned")
    if group and loop:
        yield Goal(
            title="runs of one comparison / the tuned loop",
            least=TUNED_LOOP,
            ratio=spread([a / b for a, b in zip(group.values, loop.values, strict=True)], group.load),
            figures={"normbench": group.median, "loop": loop.median},
        )


def command_goal(whole: Breakdown | None) -> Iterator[Goal]:
    """Compare the time of training in a whole command with that of scoring."""
    if whole is None:
        return
    train, score = (sum(phase.seconds for phase in whole.phases if phase.name.startswith(verb)) for verb in VERBS)
    if score:
        yield Goal(
            title="training / scoring, seconds in the whole command",
            least=1.0,
            ratio=spread([train / score], whole.load),
            figures={"train": train, "score": score},
        )


def training_step(bench: Bench, data: DataSet, norm: str, precision: Precision, seed: int = 0) -> Step:
    """Make a training, and return its step, which takes the batches of one epoch again and again."""
    training = _training(bench, data, norm, precision, seed)
    training.batches.start(1)
    training.begin(1)
    taken = count()

    def step() -> None:
        if next(taken) % len(training.batches) == 0:
            training.batches.index.zero_()
        training.step(*training.batches.next())

    return step


def _training(bench: Bench, data: DataSet, norm: str, precision: Precision, seed: int = 0) -> Training:
    config = bench.run(norm, seed, 1, len(data.train), bench.batch_size)
    config = config.model_copy(
        update={"training": config.training.model_copy(update={"precision": precision, "lr": 1e-3})}
    )
    return Training(config, networks.build_for(config, len(data.classes)), data)


def _median_seconds(step: Step) -> float:
    """Time a few steps, after one that brings their memory back into the cache."""
    step()
    return statistics.median(_seconds(step) for _ in range(STEPS))


def _seconds(step: Step) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def _speeds(steps: Sequence[Step], batch_size: int) -> list[float]:
    """Return the images per second of steps that are taken concurrently, each on a thread of its own."""
    start, speeds = threading.Barrier(len(steps)), [0.0] * len(steps)
    ended = threading.Event()

    def train(index: int) -> None:
        torch.set_num_threads(1)
        steps[index]()
        start.wait()
        taken, started = 0, time.perf_counter()
        while taken < 4 * STEPS and not ended.is_set():
            steps[index]()
            taken += 1
        speeds[index] = batch_size * taken / (time.perf_counter() - started)
        ended.set()  # the others end their step: all that is counted was concurrent

    threads = [threading.Thread(target=train, args=(index,)) for index in range(len(steps))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return speeds


def _rotated(items: list[tuple[str, Step]], turn: int) -> list[tuple[str, Step]]:
    first = turn % len(items)
    return items[first:] + items[:first]
