"""Execute one run: resume or start, train epoch by epoch, score once at the end."""

import json
from typing import Any

import torch

from normbench import networks, randomness
from normbench.config import RunConfig
from normbench.data import DataSet
from normbench.device import describe
from normbench.evaluation import evaluate
from normbench.norms import resolve_norm
from normbench.runs.environment import environment
from normbench.runs.folder import RunFolder
from normbench.runs.hold import held
from normbench.runs.result import Listener, RunResult
from normbench.training import DivergedError, EpochRow, Training


def execute(config: RunConfig, data: DataSet, folder: RunFolder, listener: Listener, force: bool) -> RunResult:
    """Bring one run to its result, write it down and return it.

    A run that was interrupted goes on after its last finished epoch, with the same numbers as if it had never
    stopped; `force` starts it again.

    Raises:
        UsageError: A setting does not fit the data, the folder cannot be written, or another process holds it.
        RunFailedError: The state in the folder is damaged.
    """
    randomness.set_deterministic(config.deterministic)
    network = networks.build(config.network, resolve_norm(config.norm, config.groups), len(data.classes), config.seed)
    training = Training(config, network, data)
    with held(folder.path):
        result = _train(training, folder, listener, force)
        folder.finish(result)
    listener.run_finished(config, result, already_done=False)
    return result


def _train(training: Training, folder: RunFolder, listener: Listener, force: bool) -> RunResult:
    config = training.config
    rows = _resume_or_start(training, folder, force)
    listener.run_started(config, folder.path, len(rows) + 1)
    try:
        for epoch in range(len(rows) + 1, config.training.epochs + 1):
            row = training.epoch(epoch)
            rows.append(row)
            folder.append(row)
            folder.save_state(training.state(), rows)
            listener.epoch_done(config, row)
    except DivergedError as error:
        return _result(training, rows, folder, status="diverged", problem=f"{error.message}. {error.hint}")
    folder.save_model(training.network, _model_metadata(training.data))
    return _result(training, rows, folder, status="done", **_scores(training, rows))


def _model_metadata(data: DataSet) -> dict[str, str]:
    """What the weights need beside them to classify other images: class names, and the pixel statistics."""
    facts = {"classes": data.classes, "mean": data.mean.flatten().tolist(), "std": data.std.flatten().tolist()}
    return {"images": json.dumps(facts)}  # one entry: safetensors writes several in an order that changes


def _resume_or_start(training: Training, folder: RunFolder, force: bool) -> list[EpochRow]:
    saved = None if force else folder.load_state()
    if saved is None:
        folder.start(environment(training.device))
        return []
    state, rows = saved
    training.load_state(state)
    return rows


def _scores(training: Training, rows: list[EpochRow]) -> dict[str, float | None]:
    """Accuracy and loss of the last epoch's weights; the test images are read here, once, or not at all."""
    data, config = training.data, training.config
    precision = config.training.precision
    train = evaluate(training.network, data.train, data, precision)
    scores: dict[str, float | None] = {"train_accuracy": train.accuracy, "train_loss": train.loss}
    if rows[-1].validation_accuracy is not None:
        scores |= {
            "validation_accuracy": rows[-1].validation_accuracy,
            "validation_loss": rows[-1].validation_loss,
        }
    if config.read_test:
        test = evaluate(training.network, data.test, data, precision)
        scores |= {"test_accuracy": test.accuracy, "test_loss": test.loss}
    return scores


def _result(training: Training, rows: list[EpochRow], folder: RunFolder, **outcome: Any) -> RunResult:
    config, data = training.config, training.data
    seconds = sum(row.seconds for row in rows)
    images = len(training.batches) * config.training.batch_size * len(rows)
    return RunResult(
        norm=config.norm,
        seed=config.seed,
        dataset=data.name,
        network=config.network.name,
        parameters=networks.count_parameters(training.network),
        epochs=len(rows),
        batch_size=config.training.batch_size,
        lr=config.training.lr,
        weight_decay=config.training.weight_decay,
        train_images=len(data.train),
        test_images=len(data.test),
        seconds=seconds,
        images_per_second=images / seconds if seconds else None,
        device=describe(training.device),
        torch=torch.__version__,
        fingerprint=config.fingerprint,
        folder=str(folder.path),
        **outcome,
    )
