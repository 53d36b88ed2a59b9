"""Execution of one run group. Its runs are resumed or started, trained epoch by epoch, and scored once at the end."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from normbench import networks
from normbench.config import RunConfig
from normbench.config.settings import is_custom_network
from normbench.custom_code import Code
from normbench.data import Batches, DataSet
from normbench.device import describe, resolve_precision
from normbench.engine.callbacks import Callback
from normbench.errors import UsageError
from normbench.evaluation import NonFiniteError, confusion_matrix, evaluate, evaluate_with_predictions
from normbench.norms import Norm
from normbench.runs.environment import commit_problem, environment
from normbench.runs.folder import DAMAGE, STATE, RunFolder, Stamp, damaged_state
from normbench.runs.kept_code import RunCode
from normbench.runs.lock import HeldError, held
from normbench.runs.result import Confusion, RunResult
from normbench.training import DivergedError, EpochRow, Graphs, RunGroup, Training


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of the execution of a run group."""

    force: bool = False
    """Restart runs that are done or could be resumed."""
    superseded: Mapping[Path, Stamp | None] | None = None
    """With `force`: the results that are to be redone, by folder. A result that another process has put in the place of
    one of them is used. None redoes any."""
    graphs: Graphs | None = None
    """Captures the steps; None where nothing does."""
    concurrent_runs: int = 1
    """Number of runs that the device trains at once."""
    interrupted: Callable[[], None] = lambda: None
    """Asked before each step; what it raises ends the training."""
    save_every: float | None = None
    """Seconds between two saved states; None for `SAVE_EVERY`."""


SAVE_EVERY = 10.0
"""Seconds between two states of a run on the disk, at least: short epochs would otherwise wait for their files. A state
that is not there yet is written when a run is interrupted or fails; what a killed process loses is trained again."""


STEP_INTERVAL = 0.25
"""Seconds between two notifications of the progress within an epoch."""


@dataclass
class _Member:
    """A run of the group while it is trained."""

    training: Training
    code: RunCode
    folder: RunFolder
    save_every: float
    rows: list[EpochRow] = field(default_factory=list)
    capture_seconds: float = 0.0
    result: RunResult | None = None
    saved_at: float = field(default_factory=time.monotonic)
    """Time at which its state was saved last, or else at which it began."""
    unsaved: tuple[dict[str, Any], list[EpochRow]] | None = None
    """The state after the last finished epoch, with the epochs so far, where it is not on the disk yet."""

    def keep_state(self) -> None:
        """Save the state after a finished epoch, or remember it until it is worth a file."""
        state, rows = self.training.state(), list(self.rows)
        if self.next_epoch is not None and time.monotonic() - self.saved_at < self.save_every:
            self.unsaved = copy.deepcopy(state), rows
            return
        self.folder.save_state(state, rows)
        self.saved_at, self.unsaved = time.monotonic(), None

    def save_unsaved(self) -> None:
        """Save what is not on the disk yet, of a run that has no result."""
        if self.unsaved is not None and self.result is None:
            self.folder.save_state(*self.unsaved)
            self.unsaved = None

    @property
    def next_epoch(self) -> int | None:
        """None once it has trained them all, or diverged."""
        epoch = len(self.rows) + 1
        return epoch if self.result is None and epoch <= self.training.config.training.epochs else None


def execute(
    folders: Sequence[RunFolder], data: DataSet, callback: Callback, options: ExecutionOptions
) -> list[RunResult | HeldError]:
    """Bring runs to their results together, write these down and return them in the same order.

    The runs have equal epochs, batch size and data settings. One that was interrupted goes on after its last finished
    epoch, with the same numbers as if it had never stopped. A run that another process holds is left to it, and has
    the error in its place; one that another process has finished in the meantime keeps that result.

    Raises:
        UsageError: A setting does not fit the data, or a folder cannot be written.
        RunFailedError: The state or the result in a folder is damaged.
    """
    outcomes: dict[RunFolder, RunResult | HeldError] = {}
    with ExitStack() as locks:
        for folder in folders:
            try:
                locks.enter_context(held(folder.path, callback.warning))
            except HeldError as error:
                outcomes[folder] = error
                continue
            # Only now is it certain: until the lock was taken another process may have been about to finish.
            if (result := result_to_keep(folder, options)) is not None:
                callback.run_finished(folder.config, result, already_done=True)
                outcomes[folder] = result
        free = [folder for folder in folders if folder not in outcomes]
        save_every = SAVE_EVERY if options.save_every is None else options.save_every
        members = [
            _Member(training, code, folder, save_every)
            for (training, code), folder in zip(_trainings(free, data, options), free, strict=True)
        ]
        for member in members:
            member.rows = _resume_or_start(member, callback, options.force)
            callback.run_started(member.training.config, member.folder.path, len(member.rows) + 1)
        with _keeping_states(members):
            _train(members, callback, options)
        outcomes |= {member.folder: _conclude(member, callback, options) for member in members}
    return [outcomes[folder] for folder in folders]


@contextmanager
def _keeping_states(members: Sequence[_Member]) -> Iterator[None]:
    """Leave the last finished epoch of every run on the disk, also when the training is broken off."""
    try:
        yield
    except BaseException:
        for member in members:
            with suppress(Exception):  # what broke the training off counts, not that a device or disk is gone with it
                member.save_unsaved()
        raise


def result_to_keep(folder: RunFolder, options: ExecutionOptions) -> RunResult | None:
    """Result of a run that is not to be trained again; None for a run that is to be trained.

    Raises:
        RunFailedError: There is a result that cannot be read.
    """
    if options.superseded is None:
        return None if options.force else folder.result()
    return None if folder.stamp == options.superseded.get(folder.path) else folder.result()


def _trainings(
    folders: Sequence[RunFolder], data: DataSet, options: ExecutionOptions
) -> list[tuple[Training, RunCode]]:
    """Make a training per run, with its custom code; those with equal seeds share their batches."""
    capturable = True if options.graphs else None  # None: as the device would have it
    batches: dict[tuple[int, str], Batches] = {}
    trainings = []
    for config in (folder.config for folder in folders):
        norm = Norm.parse(config.norm, config.groups)
        custom = networks.custom_network(config.network.name) if is_custom_network(config.network.name) else None
        code = RunCode(norm.code, custom.code if custom else None)
        _check_unchanged(f"norm '{config.norm}'", code.norm, config.norm_source)
        _check_unchanged(f"network '{config.network.name}'", code.network, config.network_source)
        network = networks.build_for(config, len(data.classes), norm, custom)
        key = config.seed, config.data.model_dump_json()
        training = Training(config, network, data, batches.get(key), capturable)
        batches[key] = training.batches
        trainings.append((training, code))
    return trainings


def _check_unchanged(name: str, code: Code | None, digest: str | None) -> None:
    if digest and code and code.digest != digest:
        raise UsageError(f"the code of {name} was changed while its run waited", "Start it again.")


def _train(members: Sequence[_Member], callback: Callback, options: ExecutionOptions) -> None:
    """Train until no member has an epoch left; members that were interrupted earlier catch up first."""
    together: list[_Member] = []
    while waiting := [member for member in members if member.next_epoch]:
        epoch = min(member.next_epoch or 0 for member in waiting)
        turn = [member for member in waiting if member.next_epoch == epoch]
        if turn != together:  # a captured step is that of certain members
            together = turn
            trainings = [member.training for member in together]
            stepped = _StepProgress([member.training.config for member in together], callback)
            group = RunGroup(trainings, options.graphs, options.interrupted, callback.warning, stepped)
        outcomes = group.epoch(epoch)
        for member, outcome in zip(together, outcomes, strict=True):
            member.capture_seconds = group.capture_seconds
            _keep(member, outcome, callback, options)


class _StepProgress:
    """Tells a callback the progress within an epoch, a few times a second.

    Args:
        configs: Runs of the group.
        callback: Receives the steps of each of them.
    """

    def __init__(self, configs: Sequence[RunConfig], callback: Callback) -> None:
        self.configs, self.callback, self.next = configs, callback, 0.0

    def __call__(self, epoch: int, step: int, steps: int) -> None:
        now = time.monotonic()
        if now >= self.next:
            self.next = now + STEP_INTERVAL
            for config in self.configs:
                self.callback.step_done(config, epoch, step, steps)


def _keep(member: _Member, outcome: EpochRow | DivergedError, callback: Callback, options: ExecutionOptions) -> None:
    if isinstance(outcome, DivergedError):
        _diverge(member, outcome, callback, options)
        return
    member.rows.append(outcome)
    member.folder.append(outcome)
    member.keep_state()
    callback.epoch_done(member.training.config, outcome)


def _conclude(member: _Member, callback: Callback, options: ExecutionOptions) -> RunResult:
    """The result of a member that has trained all its epochs, unless it has one already."""
    if member.result is None:
        training = member.training
        started = time.perf_counter()
        try:
            scores, confusion = _scores(training, member.rows)
        except NonFiniteError:
            last = member.rows[-1]
            _diverge(member, DivergedError(last.epoch, last.lr, "the logits are"), callback, options)
        else:
            seconds = time.perf_counter() - started
            digest = member.folder.save_model(training.network, _model_metadata(training.data))
            if confusion is not None:
                member.folder.save_confusion(confusion)
            outcome = {"evaluation_seconds": seconds, "model_sha256": digest} | scores
            _finish(member, _result(member, options, status="done", **outcome), callback)
    assert member.result is not None, "it was just set"
    return member.result


def _diverge(member: _Member, error: DivergedError, callback: Callback, options: ExecutionOptions) -> None:
    """End a run that has no accuracy."""
    problem = f"{error.message}. {error.hint}"
    _finish(member, _result(member, options, status="diverged", problem=problem), callback)


def _finish(member: _Member, result: RunResult, callback: Callback) -> None:
    member.result = result
    member.folder.finish(result)
    callback.run_finished(member.training.config, result, already_done=False)


def _model_metadata(data: DataSet) -> dict[str, str]:
    """Metadata for classifying other images: class names and pixel statistics."""
    facts = {"classes": data.classes, "mean": data.mean.flatten().tolist(), "std": data.std.flatten().tolist()}
    return {"images": json.dumps(facts)}  # one entry: safetensors writes several in an order that changes


def _resume_or_start(member: _Member, callback: Callback, force: bool) -> list[EpochRow]:
    saved = None if force else member.folder.load_state()
    if saved is None:
        member.folder.start(environment(member.training.device), member.code)
        if problem := commit_problem():
            callback.warning(problem)
        return []
    state, rows = saved
    try:
        member.training.load_state(state)
    except DAMAGE as error:
        raise damaged_state(member.folder.path / STATE, error) from error
    return rows


def _scores(training: Training, rows: list[EpochRow]) -> tuple[dict[str, float | None], Confusion | None]:
    """Accuracy and loss of the last epoch's weights, and where they err on the test images.

    The test images are read here, once, or not at all.

    Raises:
        NonFiniteError: The network's logits are not finite.
    """
    data, config = training.data, training.config
    precision = config.training.precision
    train = evaluate(training.network, data.train, data, precision)
    scores: dict[str, float | None] = {"train_accuracy": train.accuracy, "train_loss": train.loss}
    if rows[-1].validation_accuracy is not None:
        scores |= {
            "validation_accuracy": rows[-1].validation_accuracy,
            "validation_loss": rows[-1].validation_loss,
        }
    if not config.read_test:
        return scores, None
    test, decided = evaluate_with_predictions(training.network, data.test, data, precision)
    counts = confusion_matrix(decided, data.test.labels.cpu(), len(data.classes)).tolist()
    return scores | {"test_accuracy": test.accuracy, "test_loss": test.loss}, Confusion(
        classes=data.classes, counts=counts
    )


def _result(member: _Member, options: ExecutionOptions, **outcome: Any) -> RunResult:
    training, rows = member.training, member.rows
    config, data = training.config, training.data
    seconds = sum(row.seconds for row in rows)
    images = len(training.batches) * config.training.batch_size * len(rows)
    return RunResult(
        norm=config.norm,
        seed=config.seed,
        dataset=data.name,
        split_seed=config.data.split_seed,
        network=config.network.name,
        parameters=networks.count_parameters(training.network),
        epochs=len(rows),
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        weight_decay=config.training.weight_decay,
        tuned=config.tuned,
        train_images=len(data.train),
        test_images=len(data.test),
        seconds=seconds,
        images_per_second=images / seconds if seconds else None,
        side_by_side=options.concurrent_runs,
        capture_seconds=member.capture_seconds or None,
        device=describe(training.device),
        torch=torch.__version__,
        precision=resolve_precision(config.training.precision, training.device),
        fingerprint=config.fingerprint,
        folder=str(member.folder.path),
        **outcome,
    )
