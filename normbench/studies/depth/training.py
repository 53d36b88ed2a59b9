"""Short trainings of stacks. They run at several learning rates, one by one or in groups."""

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
class TrainedStack:
    """Best of a few learning rates by validation accuracy; the test images are read with that one alone."""

    depth: int
    lr: float
    validation_accuracy: float
    test_accuracy: float
    diverged: tuple[float, ...]
    """Learning rates at which the loss became non-finite."""


@dataclass(frozen=True)
class StackTraining:
    """Stack to train with one seed, at every learning rate of the study."""

    stack: StackConfig
    norm: Norm
    seed: int


@dataclass(frozen=True)
class _Attempt:
    """Training of a stack at one learning rate."""

    lr: float
    training: Training
    outcome: EpochRow | DivergedError
    """Last epoch, or the error of the one in which it diverged."""


def train_stack(
    stack: StackConfig,
    norm: Norm,
    data: DataSet,
    settings: DepthSettings,
    *,
    seed: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> TrainedStack | None:
    """Train a stack once at each learning rate, always from the same weights and on the same batches.

    Returns:
        None if every rate diverges, or the best one on the test images.
    """
    attempts = []
    for lr in settings.lrs:
        training = _training(StackTraining(stack, norm, seed), lr, data, settings)
        group = RunGroup([training])
        for epoch in range(1, settings.training.epochs + 1):
            (outcome,) = group.epoch(epoch)
            if isinstance(outcome, DivergedError):
                break
            after_epoch()
        attempts.append(_Attempt(lr, training, outcome))
    return _best(stack.depth, attempts, data, settings)


def train_together(
    jobs: Sequence[StackTraining], data: DataSet, settings: DepthSettings, graphs: Graphs | None, at_once: int
) -> Iterator[tuple[StackTraining, TrainedStack | None]]:
    """Train several stacks as `train_stack` does, with their steps captured together, a few stacks at a time.

    Args:
        jobs: Stacks to train; those that draw random numbers while they train are trained one by one.
        data: Images of all trainings.
        settings: The study's settings.
        graphs: Captures the steps; None runs them eagerly.
        at_once: Largest number of trainings in a group; a stack has one per learning rate.
    """
    size = max(1, at_once // len(settings.lrs))
    groupable = [job for job in jobs if not draws_random_numbers(build_stack(job.stack, job.norm, 10, job.seed))]
    groups = [groupable[first : first + size] for first in range(0, len(groupable), size)]
    for group in [*groups, *([job] for job in jobs if job not in groupable)]:
        rates = [settings.lrs] if group[0] in groupable else [(lr,) for lr in settings.lrs]
        attempts: dict[StackTraining, list[_Attempt]] = {job: [] for job in group}
        for lrs in rates:
            for job, attempt in _train_group(group, lrs, data, settings, graphs):
                attempts[job].append(attempt)
        for job in group:
            yield job, _best(job.stack.depth, attempts[job], data, settings)


def _train_group(
    jobs: Sequence[StackTraining], lrs: Sequence[float], data: DataSet, settings: DepthSettings, graphs: Graphs | None
) -> list[tuple[StackTraining, _Attempt]]:
    batches: dict[int, Batches] = {}
    planned = []
    for job in jobs:
        for lr in lrs:
            training = _training(job, lr, data, settings, batches.get(job.seed))
            batches[job.seed] = training.batches
            planned.append((job, lr, training))
    outcomes: list[EpochRow | DivergedError] = []
    group = RunGroup([training for _, _, training in planned], graphs)
    for epoch in range(1, settings.training.epochs + 1):
        rows = group.epoch(epoch)
        # A diverged run goes on with its group, and keeps its outcome.
        outcomes = [
            earlier if isinstance(earlier, DivergedError) else row
            for earlier, row in zip(outcomes or rows, rows, strict=True)
        ]
    return [
        (job, _Attempt(lr, training, outcome)) for (job, lr, training), outcome in zip(planned, outcomes, strict=True)
    ]


def _training(
    job: StackTraining, lr: float, data: DataSet, settings: DepthSettings, batches: Batches | None = None
) -> Training:
    run = RunConfig(
        norm=job.norm.name, groups=job.norm.groups, seed=job.seed, data=DataConfig(crop_padding=0),
        training=settings.training.model_copy(update={"lr": lr}),
    )  # fmt: skip
    return Training(run, build_stack(job.stack, job.norm, len(data.classes), job.seed), data, batches)


def _best(depth: int, attempts: Sequence[_Attempt], data: DataSet, settings: DepthSettings) -> TrainedStack | None:
    """Choose by validation accuracy, the first of equal ones, and score the chosen one on the test images."""
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
        score = evaluate(chosen.training.network, data.test, data, settings.training.precision)
    except NonFiniteError:
        return None
    diverged = tuple(attempt.lr for attempt in attempts if isinstance(attempt.outcome, DivergedError))
    return TrainedStack(depth, chosen.lr, accuracy, score.accuracy, diverged)
