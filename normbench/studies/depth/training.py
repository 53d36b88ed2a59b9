"""Where a stack still learns: a short training at each depth, at a few learning rates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from normbench.config import DataConfig, RunConfig
from normbench.data import Batches, DataSet
from normbench.evaluation import NonFiniteError, evaluate
from normbench.networks import draws_random_numbers
from normbench.networks.stacks import StackConfig, build_stack
from normbench.norms import Norm
from normbench.studies.depth.settings import DepthSettings
from normbench.training import DivergedError, EpochRow, Graphs, RunGroup, Training


@dataclass(frozen=True)
class Trained:
    """The best of a few learning rates, by validation accuracy; the test images are read with that one alone."""

    depth: int
    lr: float
    validation_accuracy: float
    test_accuracy: float
    diverged: tuple[float, ...]
    """Learning rates at which the loss did not stay finite."""


@dataclass(frozen=True)
class StackTraining:
    """A stack to train with one seed, at every learning rate of the study."""

    stack: StackConfig
    norm: Norm
    seed: int


@dataclass(frozen=True)
class _Attempt:
    """A job at one learning rate."""

    lr: float
    training: Training
    outcome: EpochRow | DivergedError
    """Of the last epoch, or of the one in which it diverged."""


def train_stack(
    stack: StackConfig,
    norm: Norm,
    data: DataSet,
    config: DepthSettings,
    *,
    seed: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> Trained | None:
    """Train a stack once at each learning rate, always from the same weights and on the same batches.

    None where every rate diverges, or the best one on the test images.
    """
    attempts = []
    for lr in config.lrs:
        training = _training(StackTraining(stack, norm, seed), lr, data, config)
        group = RunGroup([training])
        for epoch in range(1, config.training.epochs + 1):
            (outcome,) = group.epoch(epoch)
            if isinstance(outcome, DivergedError):
                break
            after_epoch()
        attempts.append(_Attempt(lr, training, outcome))
    return _best(stack.depth, attempts, data, config)


def train_together(
    jobs: Sequence[StackTraining], data: DataSet, config: DepthSettings, graphs: Graphs | None, at_once: int
) -> Iterator[tuple[StackTraining, Trained | None]]:
    """`train_stack` for several jobs whose steps are captured together; a few jobs are trained at a time.

    Args:
        jobs: Stacks that draw random numbers while they train are trained one by one among them.
        data: What all are trained on.
        config: The study's settings.
        graphs: Captures the steps.
        at_once: Trainings in a group, at most; a job has one at each learning rate.
    """
    several = max(1, at_once // len(config.lrs))
    alike = [job for job in jobs if not draws_random_numbers(build_stack(job.stack, job.norm, 10, job.seed))]
    groups = [alike[first : first + several] for first in range(0, len(alike), several)]
    for group in [*groups, *([job] for job in jobs if job not in alike)]:
        rates = [config.lrs] if group[0] in alike else [(lr,) for lr in config.lrs]
        attempts: dict[StackTraining, list[_Attempt]] = {job: [] for job in group}
        for lrs in rates:
            for job, attempt in _train_group(group, lrs, data, config, graphs):
                attempts[job].append(attempt)
        for job in group:
            yield job, _best(job.stack.depth, attempts[job], data, config)


def _train_group(
    jobs: Sequence[StackTraining], lrs: Sequence[float], data: DataSet, config: DepthSettings, graphs: Graphs | None
) -> list[tuple[StackTraining, _Attempt]]:
    batches: dict[int, Batches] = {}
    tries = []
    for job in jobs:
        for lr in lrs:
            training = _training(job, lr, data, config, batches.get(job.seed))
            batches[job.seed] = training.batches
            tries.append((job, lr, training))
    outcomes: list[EpochRow | DivergedError] = []
    group = RunGroup([training for _, _, training in tries], graphs)
    for epoch in range(1, config.training.epochs + 1):
        rows = group.epoch(epoch)
        # One that has diverged goes on beside the others, and stays what it was.
        outcomes = [
            before if isinstance(before, DivergedError) else row
            for before, row in zip(outcomes or rows, rows, strict=True)
        ]
    return [
        (job, _Attempt(lr, training, outcome)) for (job, lr, training), outcome in zip(tries, outcomes, strict=True)
    ]


def _training(
    job: StackTraining, lr: float, data: DataSet, config: DepthSettings, batches: Batches | None = None
) -> Training:
    run = RunConfig(
        norm=job.norm.name, groups=job.norm.groups, seed=job.seed, data=DataConfig(crop_padding=0),
        training=config.training.model_copy(update={"lr": lr}),
    )  # fmt: skip
    return Training(run, build_stack(job.stack, job.norm, len(data.classes), job.seed), data, batches)


def _best(depth: int, attempts: Sequence[_Attempt], data: DataSet, config: DepthSettings) -> Trained | None:
    """Choose by validation accuracy, the first of equals, and read the test images with it."""
    best: tuple[float, _Attempt] | None = None
    for attempt in attempts:
        if isinstance(attempt.outcome, DivergedError):
            continue
        accuracy = attempt.outcome.validation_accuracy
        assert accuracy is not None, "the rates are chosen on a validation split"
        if best is None or accuracy > best[0]:
            best = accuracy, attempt
    if best is None:
        return None
    accuracy, chosen = best
    try:
        score = evaluate(chosen.training.network, data.test, data, config.training.precision)
    except NonFiniteError:
        return None
    diverged = tuple(attempt.lr for attempt in attempts if isinstance(attempt.outcome, DivergedError))
    return Trained(depth, chosen.lr, accuracy, score.accuracy, diverged)
