"""Notebook's regression network: 10-64-32-1 on random points by Adam, with norms, regularizers and initialisations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS, INPUTS = 100, 10
EPOCHS = 10


@dataclass(frozen=True)
class Recipe:
    """Network and training of one technique."""

    label: str
    build: Callable[[], nn.Sequential]
    lr: float = 0.001
    l1: float = 0.0
    decay: float = 0.0
    epochs: int = EPOCHS
    step: int | None = None
    """Epochs between two steps of StepLR with factor 0.1."""


@dataclass(frozen=True)
class Losses:
    """Losses of one seed; mean squared errors, the first and the last with penalties as the training sees them."""

    first: float
    last: float
    fitted: float
    """Loss on the training points in eval mode, after the last epoch."""
    fresh: float
    """Loss on as many other points, in eval mode."""


@dataclass(frozen=True)
class Technique:
    """A technique with its losses over the seeds."""

    label: str
    epochs: int
    losses: tuple[Losses, ...]


def network(
    norm: Callable[[int], nn.Module] = lambda _channels: nn.Identity(),
    dropout: tuple[float, float] = (0.0, 0.0),
    init: Callable[[Tensor], Tensor] | None = None,
) -> nn.Sequential:
    """Build 10-64-32-1: linear, ReLU, norm, dropout, twice; then a linear output."""
    layers = nn.Sequential(
        nn.Linear(INPUTS, 64), nn.ReLU(), norm(64), nn.Dropout(dropout[0]),
        nn.Linear(64, 32), nn.ReLU(), norm(32), nn.Dropout(dropout[1]),
        nn.Linear(32, 1),
    )  # fmt: skip
    for layer in layers:
        if init is not None and isinstance(layer, nn.Linear):
            init(layer.weight)
    return layers


def _group_norms(channels: int) -> nn.Module:
    return nn.GroupNorm(8 if channels == 64 else 4, channels)


RECIPES = (
    Recipe("plain", network),
    Recipe("L1, lambda 0.01", network, l1=0.01),
    Recipe("L2, decay 0.01", network, decay=0.01),
    Recipe("dropout 0.5 and 0.2", lambda: network(dropout=(0.5, 0.2))),
    Recipe("LayerNorm", lambda: network(nn.LayerNorm)),
    Recipe("BatchNorm", lambda: network(nn.BatchNorm1d)),
    Recipe("GroupNorm, 8 and 4 groups", lambda: network(_group_norms)),
    Recipe("Xavier", lambda: network(init=nn.init.xavier_uniform_)),
    Recipe("Kaiming", lambda: network(init=lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"))),
    Recipe("StepLR(5, 0.1), lr 0.01", network, lr=0.01, epochs=20, step=5),
)


def train_techniques(seeds: Iterable[int]) -> tuple[Technique, ...]:
    """Train every technique with every seed, on the CPU; a seed gives all of them the same points and weights."""
    chosen = list(seeds)
    return tuple(
        Technique(recipe.label, recipe.epochs, tuple(_train(recipe, seed) for seed in chosen)) for recipe in RECIPES
    )


def _train(recipe: Recipe, seed: int) -> Losses:
    """Train on all points at once: a step per epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x, y, fresh_x, fresh_y = (torch.randn(POINTS, size) for size in (INPUTS, 1, INPUTS, 1))
        model = recipe.build()
        optimizer = torch.optim.Adam(model.parameters(), recipe.lr, weight_decay=recipe.decay)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, recipe.step or recipe.epochs + 1, 0.1)
        losses = []
        for _ in range(recipe.epochs):
            loss = F.mse_loss(model(x), y)
            if recipe.l1:
                loss = loss + recipe.l1 * sum(parameter.abs().sum() for parameter in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        model.eval()
        with torch.no_grad():
            fitted, fresh = F.mse_loss(model(x), y), F.mse_loss(model(fresh_x), fresh_y)
    return Losses(losses[0], losses[-1], float(fitted), float(fresh))
