"""What the mistakes are made on: the networks of one seed, each trained once, and how they are scored."""

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
"""At most so many are scored, since some mistakes need small batches, which are slow."""


@dataclass(frozen=True)
class Outcome:
    """Test accuracy the right way and the wrong way on one seed (fractions), and what else was seen on the way."""

    right: float
    wrong: float
    facts: dict[str, float | str] = field(default_factory=dict)
    """Figures and words by name, for the sentence that says what to look for."""


class Bench:
    """One seed: its settings, its images, its networks.

    Args:
        recipe: Network, training and learning rates.
        data: What is trained on and scored.
        seed: Of the weights, the order and the augmentation.
        interrupted: Is asked before every forward pass, and raises where the work is not wanted any more.
    """

    def __init__(
        self, recipe: Recipe, data: DataSet, seed: int, interrupted: Callable[[], None] = lambda: None
    ) -> None:
        self.recipe, self.data, self.seed, self.interrupted = recipe, data, seed, interrupted
        self.precision = recipe.training.precision
        self.test = _scored(data.test, seed)
        self._trained: dict[str, nn.Module] = {}

    def config(self, norm: str, **training: int) -> RunConfig:
        """The recipe's run of a norm; another `batch_size` scales the learning rate with it (arXiv:1706.02677)."""
        config = self.recipe.run(norm, self.seed)
        usual = config.training
        lr = usual.lr * training.get("batch_size", usual.batch_size) / usual.batch_size
        return config.model_copy(update={"training": usual.model_copy(update={**training, "lr": lr})})

    def network(self, norm: str = "bn") -> nn.Module:
        """An untrained network; the seed's weights are the same for every norm."""
        interrupted = self.interrupted
        network = build_for(self.config(norm), len(self.data.classes))
        network.register_forward_pre_hook(lambda _network, _images: interrupted())
        return network

    def trained(self, norm: str = "bn") -> nn.Module:
        """The recipe's network with a norm, trained as the recipe says: the right way of several mistakes."""
        if norm not in self._trained:
            self._trained[norm] = self.train(self.network(norm), self.config(norm))
        return self._trained[norm]

    def train(self, network: nn.Module, config: RunConfig, data: DataSet | None = None) -> nn.Module:
        """Train a network on the seed's batches, of other data where given.

        Raises:
            DivergedError: The training loss is no longer finite.
        """
        training = Training(config, network, data or self.data)
        alone = RunGroup([training], graphs_for(training.device), self.interrupted)
        for epoch in range(1, config.training.epochs + 1):
            (outcome,) = alone.epoch(epoch)
            if isinstance(outcome, DivergedError):
                raise outcome
        return network

    def accuracy(self, network: nn.Module, data: DataSet | None = None) -> float:
        """Test accuracy as it is meant: eval mode, running statistics."""
        return evaluate(network, self.test, data or self.data, self.precision).accuracy

    def train_accuracy(self, network: nn.Module) -> float:
        """Accuracy on the training images, plain and in eval mode."""
        return evaluate(network, self.data.train, self.data, self.precision).accuracy

    def scores(self, network: nn.Module) -> Tensor:
        """Class scores of the test images, (N, classes) float32 on the CPU."""
        return predict_logits(network, self.test, self.data, self.precision)

    def left_in_training(self, network: nn.Module, batch_size: int, order: Tensor | None = None) -> Tensor:
        """Whether each test image is recognised, (N,) bool on the CPU, by a copy that was left in train mode.

        Args:
            network: It is left as it is; running statistics move in the copy.
            batch_size: Of the batches whose statistics normalize the images.
            order: Places of the test images, (N,) int64 on the CPU, in the order in which they come; the answer is in
                the order of the split again.
        """
        order = torch.arange(len(self.test)) if order is None else order
        split = self.test.take(order.to(self.test.labels.device))
        scores = predict_logits(LeftInTraining(network), split, self.data, self.precision, batch_size)
        right = torch.empty(len(self.test), dtype=torch.bool)
        right[order] = scores.argmax(1) == split.labels.cpu()
        return right


class LeftInTraining(nn.Module):
    """A copy of a network that stays in train mode whatever `eval()` asks for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)

    def train(self, mode: bool = True) -> "LeftInTraining":  # noqa: ARG002
        """Stay in train mode: `eval()` calls this."""
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, classes)."""
        scores: Tensor = self.network(x)
        return scores


class Accumulated(nn.Module):
    """A network whose training batches pass through it in micro-batches.

    The mean loss over all of them has the gradient that accumulation over the micro-batches sums up.
    """

    def __init__(self, network: nn.Module, micro_batch: int) -> None:
        super().__init__()
        self.network, self.micro_batch = network, micro_batch

    def forward(self, x: Tensor) -> Tensor:
        """Class scores (N, classes)."""
        parts = x.split(self.micro_batch) if self.training else (x,)
        return torch.cat([self.network(part) for part in parts])


def _scored(test: Split, seed: int) -> Split:
    """Test images to score, classes balanced, shuffled: neighbours are then no likelier to share a class."""
    chosen = balanced_order(test.labels.cpu())[:TEST_IMAGES]
    shuffled = torch.randperm(len(chosen), generator=randomness.generator(seed, "order"))
    return test.take(chosen[shuffled].to(test.labels.device))
