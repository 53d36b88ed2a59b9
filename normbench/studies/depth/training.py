"""Where a stack still learns: a short training at each depth, at a few learning rates."""

from collections.abc import Callable
from dataclasses import dataclass

from normbench.config import DataConfig, RunConfig
from normbench.data import DataSet
from normbench.evaluation import NonFiniteError, evaluate
from normbench.networks.stacks import StackConfig, build_stack
from normbench.norms import Norm
from normbench.studies.depth.settings import DepthConfig
from normbench.training import DivergedError, Training


@dataclass(frozen=True)
class Trained:
    """The best of a few learning rates, by validation accuracy; the test images are read with that one alone."""

    depth: int
    lr: float
    validation_accuracy: float
    test_accuracy: float
    diverged: tuple[float, ...]
    """Learning rates at which the loss did not stay finite."""


def train_stack(
    stack: StackConfig,
    norm: Norm,
    data: DataSet,
    config: DepthConfig,
    *,
    seed: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> Trained | None:
    """Train a stack once at each learning rate, always from the same weights and on the same batches.

    None where every rate diverges, or the best one on the test images.
    """
    training = config.training
    best: tuple[float, float, Training] | None = None
    diverged = []
    for lr in config.lrs:
        run = RunConfig(
            norm=norm.name, groups=norm.groups, seed=seed, data=DataConfig(crop_padding=0),
            training=training.model_copy(update={"lr": lr}),
        )  # fmt: skip
        trained = Training(run, build_stack(stack, norm, len(data.classes), seed), data)
        try:
            for epoch in range(1, training.epochs + 1):
                row = trained.epoch(epoch)
                after_epoch()
        except DivergedError:
            diverged.append(lr)
            continue
        assert row.validation_accuracy is not None, "the rates are chosen on a validation split"
        if best is None or row.validation_accuracy > best[0]:
            best = (row.validation_accuracy, lr, trained)
    if best is None:
        return None
    accuracy, lr, trained = best
    try:
        score = evaluate(trained.network, data.test, data, training.precision)
    except NonFiniteError:
        return None
    return Trained(stack.depth, lr, accuracy, score.accuracy, tuple(diverged))
