"""Test bench of the mistakes: the networks of one seed, each trained once, and their scores."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from normbench import randomness
from normbench.config import Recipe, RunConfig
from normbench.data import DataSet, Split
from normbench.data.splits import balanced_order
from normbench.evaluation import evaluate, predict_logits
from normbench.networks import build_for
from normbench.training import DivergedError, RunGroup, Training, graphs_for

TEST_IMAGES = 2000
"""Largest number of images that are scored, as some mistakes need small batches, which are slow."""


@dataclass(frozen=True)
class Outcome:
    """Test accuracy (a fraction) of the right and of the wrong way on one seed, and further observations."""

    right: float
    wrong: float
    facts: dict[str, float | str] = field(default_factory=dict)
    """Figures and texts by name, inserted into the advice on the mistake."""


class Bench:
    """Networks of one seed, with the settings and images that they share.

    Args:
        recipe: Network, training and learning rates.
        data: Images to train on and to score.
        seed: Seed of the weights, the order and the augmentation.
        interrupted: Called before every forward pass; raises if the work is to stop.
    """

    def __init__(
        self, recipe: Recipe, data: DataSet, seed: int, interrupted: Callable[[], None] = lambda: None
    ) -> None:
        self.recipe, self.data, self.seed, self.interrupted = recipe, data, seed, interrupted
        self.precision = recipe.training.precision
        self.test = _test_images(data.test, seed)
        self._trained: dict[str, nn.Module] = {}

    def config(self, norm: str, **training: float) -> RunConfig:
        """Return the run of a norm; another `batch_size` scales the learning rate with it (arXiv:1706.02677)."""
        config = self.recipe.run(norm, self.seed)
        default = config.training
        lr = default.lr * training.get("batch_size", default.batch_size) / default.batch_size
        return config.model_copy(update={"training": default.model_copy(update={"lr": lr, **training})})

    def network(self, norm: str = "bn") -> nn.Module:
        """Build an untrained network; the seed's weights are the same for every norm."""
        interrupted = self.interrupted
        network = build_for(self.config(norm), len(self.data.classes))
        network.register_forward_pre_hook(lambda _network, _images: interrupted())
        return network

    def trained(self, norm: str = "bn") -> nn.Module:
        """Return the network with a norm, trained by the recipe: the right way of several mistakes."""
        if norm not in self._trained:
            self._trained[norm] = self.train(self.network(norm), self.config(norm))
        return self._trained[norm]

    def train(self, network: nn.Module, config: RunConfig, data: DataSet | None = None) -> nn.Module:
        """Train a network on the seed's batches, of other data if given.

        Raises:
            DivergedError: The training loss is no longer finite.
        """
        training = Training(config, network, data or self.data)
        group = RunGroup([training], graphs_for(training.device), self.interrupted)
        for epoch in range(1, config.training.epochs + 1):
            (outcome,) = group.epoch(epoch)
            if isinstance(outcome, DivergedError):
                raise outcome
        return network

    def accuracy(self, network: nn.Module, data: DataSet | None = None) -> float:
        """Compute the test accuracy the right way: eval mode, running statistics."""
        return evaluate(network, self.test, data or self.data, self.precision).accuracy

    def train_accuracy(self, network: nn.Module) -> float:
        """Compute the accuracy on un-augmented training images in eval mode."""
        return evaluate(network, self.data.train, self.data, self.precision).accuracy

    def logits(self, network: nn.Module) -> Tensor:
        """Compute the logits of the test images, (N, classes) float32 on the CPU."""
        return predict_logits(network, self.test, self.data, self.precision)

    def left_in_training(self, network: nn.Module, batch_size: int, order: Tensor | None = None) -> Tensor:
        """Classify the test images by a copy of the network that is left in train mode.

        Args:
            network: Stays unchanged; running statistics move in the copy.
            batch_size: Number of images whose statistics normalize them.
            order: Indices of the test images, (N,) int64 on the CPU, in the order of classification.

        Returns:
            True for each image that is classified correctly, (N,) bool on the CPU, in the order of the split.
        """
        order = torch.arange(len(self.test)) if order is None else order
        split = self.test.take(order.to(self.test.labels.device))
        logits = predict_logits(LeftInTraining(network), split, self.data, self.precision, batch_size)
        right = torch.empty(len(self.test), dtype=torch.bool)
        right[order] = logits.argmax(1) == split.labels.cpu()
        return right


class LeftInTraining(nn.Module):
    """Copy of a network that stays in train mode, even after `eval()`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)

    def train(self, mode: bool = True) -> "LeftInTraining":  # noqa: ARG002
        """Stay in train mode: `eval()` calls this."""
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes)."""
        logits: Tensor = self.network(x)
        return logits


class FrozenStatistics(nn.Module):
    """Network whose BatchNorm layers stay in eval mode while the rest is trained."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> "FrozenStatistics":
        """Set the mode of everything but the BatchNorm layers; `eval()` calls this, too."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes)."""
        logits: Tensor = self.network(x)
        return logits


class Accumulated(nn.Module):
    """Network whose training batches pass through it in micro-batches.

    The gradient of the mean loss over all of them is the one that accumulation over the micro-batches gives.
    """

    def __init__(self, network: nn.Module, micro_batch: int) -> None:
        super().__init__()
        self.network, self.micro_batch = network, micro_batch

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes)."""
        parts = x.split(self.micro_batch) if self.training else (x,)
        return torch.cat([self.network(part) for part in parts])


def _test_images(test: Split, seed: int) -> Split:
    """Choose the test images to score: classes balanced and shuffled, so that neighbours are unrelated."""
    chosen = balanced_order(test.labels.cpu())[:TEST_IMAGES]
    shuffled = torch.randperm(len(chosen), generator=randomness.generator(seed, "order"))
    return test.take(chosen[shuffled].to(test.labels.device))
