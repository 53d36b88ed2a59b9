"""What a norm costs: its layers alone and in a whole training step, at the shapes of the real network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from normbench.config import Recipe, RunConfig
from normbench.data import DataSet, Split
from normbench.device import autocast
from normbench.networks import build_for
from normbench.studies.cost.clock import Spread, repeatable, seconds, spread
from normbench.studies.cost.layers import NormLayers
from normbench.studies.cost.memory import allocated_bytes, peak_bytes, saved_bytes
from normbench.training import Training

CONTROL = "none"
WARM_UP = 2
"""Rounds before the timed ones: memory is fetched, kernels are chosen."""
PARTS = ("step", "forward", "backward", "evaluate")
CLASSES = 10
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Cost:
    """What one norm costs in one training step of one batch; times in seconds, memory in bytes."""

    norm: str
    step: Spread
    """The whole training step: forward, backward, update."""
    ratio: Spread
    """Of the step to that of `none` in the same round."""
    forward: Spread
    """All norm layers of the network, forward, as in training."""
    backward: Spread
    forward_backward: Spread
    """Both, one after the other."""
    evaluate: Spread
    """All norm layers, forward in eval mode."""
    layers_saved: int
    """What the norm layers alone keep for the backward pass."""
    step_saved: int
    """What the whole network keeps for it; memory that several layers need counts once."""
    step_peak: int | None
    """Most memory allocated in a step, weights, optimizer and batches included, other norms not; CUDA only."""
    parameters: int
    buffers: int
    train_eval_difference: float
    """Largest difference between outputs in train and in eval mode, relative to the largest output."""
    keeps_layout: bool
    """Whether the outputs lie in memory as the inputs do; if not, the layers that follow run in another format."""
    shapes: tuple[tuple[int, ...], ...]

    @property
    def share(self) -> float:
        """Of the norm layers, forward and backward, in the step."""
        return self.forward_backward.median / self.step.median

    @property
    def differs(self) -> bool:
        """Whether train and eval mode differ by more than rounding."""
        return self.train_eval_difference > 1e-3


class Bench:
    """One network in training with one norm, and its norm layers apart."""

    def __init__(self, config: RunConfig, data: DataSet) -> None:
        network = build_for(config, CLASSES)
        self.config = config
        self.training = Training(config, network, data)
        self.images, self.labels = next(iter(self.training.batches.epoch(1)))
        self.step()  # so that norms with running statistics have some
        self.layers = NormLayers(network, self.images, config.training.precision)
        self._parts: list[Callable[[], None]] | None = None

    def step(self) -> None:
        """One step of the training itself."""
        self.training.step(self.images, self.labels)

    def loss(self) -> Tensor:
        """The forward half of a step."""
        with autocast(self.images.device, self.config.training.precision):
            scores = self.training.network(self.images).float()
        return F.cross_entropy(scores, self.labels)

    def times(self) -> tuple[float, ...]:
        """One time for each of `PARTS`."""
        device = self.images.device
        if self._parts is None:
            self._parts = repeatable((self.step, *self.layers.passes(), self.layers.evaluate), device)
        return tuple(seconds(part, device) for part in self._parts)


def cost_configs(recipe: Recipe, norms: Sequence[str]) -> list[RunConfig]:
    """One run a norm, alike in every other setting, the control `none` first."""
    return [recipe.run(norm, recipe.seed) for norm in dict.fromkeys((CONTROL, *norms))]


def measure_costs(configs: Sequence[RunConfig], device: torch.device, repeats: int, tell: Tell) -> list[Cost]:
    """Measure norms that share every setting; `none` is among them.

    The norms take turns, each round in another order, so that whatever else slows the machine down hits all alike.

    Raises:
        UsageError: A norm is unknown, or cannot be built or run in the network.
    """
    data = noise(configs[0].training.batch_size, device)
    untimed = {config.norm: _untimed(config, data) for config in configs}
    benches = {config.norm: Bench(config, data) for config in configs}
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in benches}
    for number, names in enumerate(_rounds(list(benches), WARM_UP + repeats), 1 - WARM_UP):
        tell(f"round {number} of {repeats}" if number > 0 else "warm-up")
        for name in names:
            found = benches[name].times()
            if number > 0:
                times[name].append(found)
    control = [round_times[0] for round_times in times[CONTROL]]
    return [_cost(name, times[name], control, untimed[name]) for name in benches]


def noise(images: int, device: torch.device) -> DataSet:
    """One batch of noise: how long a step takes does not depend on what the images show."""
    chance = torch.Generator().manual_seed(0)
    split = Split(
        torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=chance).to(device),
        torch.randint(CLASSES, (images,), generator=chance).to(device),
    )
    middle = torch.full((3, 1, 1), 127.5, device=device)
    return DataSet("noise", tuple(map(str, range(CLASSES))), split, None, split, middle, middle / 3**0.5, flips=True)


def _rounds(names: list[str], count: int) -> Iterator[list[str]]:
    """The norms in turn, starting with another one in every round."""
    for number in range(count):
        first = number % len(names)
        yield names[first:] + names[:first]


def _untimed(config: RunConfig, data: DataSet) -> dict[str, Any]:
    """What is counted, on a bench of its own: memory is this norm's alone."""
    before = allocated_bytes(data.train.images.device)
    bench = Bench(config, data)
    layers = bench.layers
    return {
        "train_eval_difference": layers.train_eval_difference(),
        "keeps_layout": layers.keep_layout(),
        "layers_saved": layers.saved_bytes(),
        "step_saved": saved_bytes(bench.loss, bench.training.network),
        "step_peak": peak_bytes(bench.step, bench.images.device, before),
        "parameters": layers.parameters(),
        "buffers": layers.buffers(),
        "shapes": tuple(layers.shapes),
    }


def _cost(name: str, times: list[tuple[float, ...]], control: list[float], untimed: dict[str, Any]) -> Cost:
    by_part = dict(zip(PARTS, map(list, zip(*times, strict=True)), strict=True))
    ratios = [step / none for step, none in zip(by_part["step"], control, strict=True)]
    both = [sum(pair) for pair in zip(by_part["forward"], by_part["backward"], strict=True)]
    spreads: dict[str, Any] = {part: spread(values) for part, values in by_part.items()}
    return Cost(norm=name, ratio=spread(ratios), forward_backward=spread(both), **spreads, **untimed)
