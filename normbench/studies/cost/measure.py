"""Cost of norm layers and training steps. Both are measured at the shapes of the real network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from normbench.config import Recipe, RunConfig
from normbench.data import DataSet, Split
from normbench.device import autocast, resolve_device
from normbench.networks import build_for
from normbench.norms import NORMS
from normbench.studies.cost.layers import NormLayers
from normbench.studies.cost.profiling import (
    Spread,
    allocated_bytes,
    peak_bytes,
    repeatable,
    saved_bytes,
    seconds,
    spread,
)
from normbench.studies.cost.settings import CostSettings
from normbench.studies.cost.study import STUDY
from normbench.studies.study import StudyContext
from normbench.training import Training

CONTROL = "none"
WARM_UP = 2
"""Rounds before the timed ones, in which memory is allocated and kernels are chosen."""
PARTS = ("step", "forward", "backward", "evaluate")
CLASSES = 10


@dataclass(frozen=True)
class Cost:
    """Cost of one norm in a training step of one batch; times in seconds, memory in bytes."""

    norm: str
    step: Spread
    """Whole training step: forward, backward, update."""
    ratio: Spread
    """Time of a step divided by that of `none` in the same round."""
    forward: Spread
    """All norm layers of the network, forward, as in training."""
    backward: Spread
    forward_backward: Spread
    """Both, one after the other."""
    evaluate: Spread
    """All norm layers, forward in eval mode."""
    layers_saved: int
    """Memory that the norm layers alone keep for the backward pass."""
    step_saved: int
    """Memory that the whole network keeps for it; what several layers need counts once."""
    step_peak: int | None
    """Most memory allocated in a step, weights, optimizer and batches included, other norms not; CUDA only."""
    parameters: int
    buffers: int
    train_eval_difference: float
    """Largest difference between outputs in train and in eval mode, relative to the largest output."""
    keeps_layout: bool
    """True if the outputs have the memory layout of the inputs; if not, later layers run in another format."""
    shapes: tuple[tuple[int, ...], ...]

    @property
    def share(self) -> float:
        """Time of the norm layers, forward and backward, as a fraction of that of the step."""
        return self.forward_backward.median / self.step.median

    @property
    def differs(self) -> bool:
        """True if train and eval mode differ by more than rounding."""
        return self.train_eval_difference > 1e-3


@dataclass(frozen=True)
class Measurement:
    """Costs of the norms, the control first, and the conditions that they hold for."""

    costs: tuple[Cost, ...]
    config: RunConfig
    """Run of one of the norms, which share every other setting."""
    device: torch.device
    repeats: int


class Bench:
    """Test bench of one norm: a network in training, and its norm layers apart."""

    def __init__(self, config: RunConfig, data: DataSet) -> None:
        network = build_for(config, CLASSES)
        self.config = config
        self.training = Training(config, network, data)
        self.images, self.labels = next(iter(self.training.batches.epoch(1)))
        self.step()  # so that norms with running statistics have some
        self.layers = NormLayers(network, self.images, config.training.precision)
        self._parts: list[Callable[[], None]] | None = None

    def step(self) -> None:
        """Take one step of the training."""
        self.training.step(self.images, self.labels)

    def loss(self) -> Tensor:
        """Run the forward half of a step."""
        with autocast(self.images.device, self.config.training.precision):
            logits = self.training.network(self.images).float()
        return F.cross_entropy(logits, self.labels)

    def times(self) -> tuple[float, ...]:
        """Time each of `PARTS` once."""
        device = self.images.device
        if self._parts is None:
            self._parts = repeatable((self.step, *self.layers.passes(), self.layers.evaluate), device)
        return tuple(seconds(part, device) for part in self._parts)


def measure(settings: CostSettings, context: StudyContext) -> Measurement:
    """Time the norms at the shapes of the recipe's network."""
    configs = cost_configs(context.load_recipe(STUDY.recipe), settings.norms or tuple(NORMS))
    device = resolve_device(context.machine.device)
    costs = measure_costs(configs, device, settings.repeats, context.note)
    return Measurement(tuple(costs), configs[0], device, settings.repeats)


def cost_configs(recipe: Recipe, norms: Sequence[str]) -> list[RunConfig]:
    """Make one config per norm, equal in every other setting, the control `none` first."""
    return [recipe.run(norm, recipe.seed) for norm in dict.fromkeys((CONTROL, *norms))]


def measure_costs(
    configs: Sequence[RunConfig], device: torch.device, repeats: int, note: Callable[[str], None]
) -> list[Cost]:
    """Measure norms that share every other setting; `none` is among them.

    The norms take turns, each round in another order, so that any disturbance of the machine affects all of them.

    Raises:
        UsageError: A norm is unknown, or cannot be built or run in the network.
    """
    data = noise(configs[0].training.batch_size, device)
    untimed = {}
    for number, config in enumerate(configs, 1):
        note(f"memory and batch dependence {number} of {len(configs)}: {config.norm}")
        untimed[config.norm] = _measure_untimed(config, data)
    benches = {config.norm: Bench(config, data) for config in configs}
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in benches}
    for number, names in enumerate(_rounds(list(benches), WARM_UP + repeats), 1 - WARM_UP):
        note(f"round {number} of {repeats}" if number > 0 else "warm-up")
        for name in names:
            of_round = benches[name].times()
            if number > 0:
                times[name].append(of_round)
    control = [of_round[0] for of_round in times[CONTROL]]
    return [_cost(name, times[name], control, untimed[name]) for name in benches]


def noise(images: int, device: torch.device) -> DataSet:
    """Draw one batch of noise: the time of a step does not depend on the content of the images."""
    rng = torch.Generator().manual_seed(0)
    split = Split(
        torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=rng).to(device),
        torch.randint(CLASSES, (images,), generator=rng).to(device),
    )
    middle = torch.full((3, 1, 1), 127.5, device=device)
    return DataSet("noise", tuple(map(str, range(CLASSES))), split, None, split, middle, middle / 3**0.5, flips=True)


def _rounds(names: list[str], count: int) -> Iterator[list[str]]:
    """Rotate the norms: each round begins with another one."""
    for number in range(count):
        first = number % len(names)
        yield names[first:] + names[:first]


def _measure_untimed(config: RunConfig, data: DataSet) -> dict[str, Any]:
    """Count memory and size on a separate bench, so that the memory is this norm's alone."""
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
