"""What is measured of depth: every norm before and after the weights, in a stack of linear layers and one of 3x3."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

import torch

from normbench.data import DataSet
from normbench.engine.concurrency import LARGEST_GROUP, cores
from normbench.engine.threads import Threads, threads_each
from normbench.networks.stacks import Kind, Position, StackConfig
from normbench.norms import Norm
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.signal import Signal, mean_signal, measure_signal
from normbench.studies.depth.training import StackTraining, Trained, train_stack, train_together
from normbench.training import graphs_for

CONTROL = "none"
KINDS: tuple[Kind, ...] = get_args(Kind)
POSITIONS: tuple[Position, ...] = get_args(Position)
SIDE = 4
CONV_WIDTH = 64
TRAINED_WIDTH: dict[Kind, int] = {"mlp": 64, "conv": 16}
"""The stacks that are trained are narrower than those that noise is sent through, so that all takes seconds."""
Tell = Callable[[str], None]
Job = tuple["Variant", int, int]
"""A variant, a depth and a seed to train."""
Outcomes = Generator[tuple[Job, Trained | None], None, None]


@dataclass(frozen=True)
class Variant:
    """One norm at one place in one kind of stack."""

    kind: Kind
    position: Position
    norm: Norm

    @property
    def label(self) -> str:
        """`none`, or the norm and where it stands: `bn pre`."""
        return self.norm.name if self.norm.name == CONTROL else f"{self.norm.name} {self.position}"

    def stack(self, config: DepthSettings, depth: int, width: int) -> StackConfig:
        """The stack that it is put into."""
        return StackConfig(self.kind, depth, width, self.position, config.activation, config.init, SIDE)


@dataclass(frozen=True)
class Measured:
    """What came out for a variant; of training, by depth and then by seed, None where every rate diverged."""

    variant: Variant
    signal: Signal
    trained: dict[int, tuple[Trained | None, ...]]


@dataclass(frozen=True)
class Depth:
    """Everything that was measured, the data that was trained on, and what could not be measured, with the reason."""

    config: DepthSettings
    measured: tuple[Measured, ...]
    data: DataSet | None
    left_out: tuple[str, ...]


def measure_depth(config: DepthSettings, device: torch.device, data: DataSet | None, tell: Tell) -> Depth:
    """Send noise through every stack, and train it at a few depths where there is data.

    Raises:
        UsageError: A norm is unknown or cannot be built for these widths, or the images do not fill a batch.
    """
    norms = [Norm.parse(name, config.groups) for name in config.norms]
    reasons = {variant: unfit(variant, device) for variant in _variants(norms)}
    variants = [variant for variant, reason in reasons.items() if reason is None]
    for variant in variants:
        for width in (_width(variant.kind, config), TRAINED_WIDTH[variant.kind]):
            variant.norm.make(width)  # what cannot be is said before anything is measured
    signals = {}
    for number, variant in enumerate(variants, 1):
        tell(f"signal {number}/{len(variants)}: {variant.kind}, {variant.label}")
        signals[variant] = _signal(variant, config, device)
    trained = {} if data is None else _train_all(variants, config, data, tell)
    found = tuple(Measured(variant, signals[variant], trained.get(variant, {})) for variant in variants)
    return Depth(config, found, data, tuple(dict.fromkeys(reason for reason in reasons.values() if reason)))


def _variants(norms: list[Norm]) -> Iterator[Variant]:
    """Every norm before and after the weights; no norm stands nowhere in particular."""
    for kind in KINDS:
        for norm in norms:
            for position in POSITIONS[:1] if norm.name == CONTROL else POSITIONS:
                yield Variant(kind, position, norm)


def unfit(variant: Variant, device: torch.device) -> str | None:
    """Why a norm makes no sense on vectors, where it does not; found by trying it on random ones."""
    if variant.kind != "mlp":
        return None
    name = variant.norm.name
    if variant.norm.weight_standardization:
        return f"{name} is left out of the mlp: weight standardization is defined for convolutions"
    x = torch.randn(8, 8, 1, 1, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        varies = bool(Norm.parse(name, 1).make(8).to(device)(x).std() > 0)
    except (ValueError, RuntimeError) as error:
        return f"{name} is left out of the mlp, where a channel of an image is one value: {str(error).splitlines()[0]}"
    return None if varies else f"{name} is left out of the mlp: of one value a channel it leaves nothing"


def _width(kind: Kind, config: DepthSettings) -> int:
    return config.width if kind == "mlp" else CONV_WIDTH


def _signal(variant: Variant, config: DepthSettings, device: torch.device) -> Signal:
    stack = variant.stack(config, config.depth, _width(variant.kind, config))
    return mean_signal([measure_signal(stack, variant.norm, seed, device) for seed in config.all_seeds])


def _train_all(
    variants: Sequence[Variant], config: DepthSettings, data: DataSet, tell: Tell
) -> dict[Variant, dict[int, tuple[Trained | None, ...]]]:
    """Every variant at every depth with every seed: on CUDA in groups whose steps are captured, on a CPU on threads."""
    jobs = [(variant, depth, seed) for variant in variants for depth in config.depths for seed in config.all_seeds]
    found: dict[Job, Trained | None] = {}
    train = _on_threads if data.train.images.device.type == "cpu" else _in_groups
    with closing(train(jobs, config, data)) as ended:  # left early, it stops its threads
        for (variant, depth, seed), trained in ended:
            found[variant, depth, seed] = trained
            if depth == config.depth and seed == config.all_seeds[-1]:
                tell(f"trained {len(found)}/{len(jobs)}: {variant.kind}, {variant.label}")
    return {
        variant: {depth: tuple(found[variant, depth, seed] for seed in config.all_seeds) for depth in config.depths}
        for variant in variants
    }


def _stack(job: Job, config: DepthSettings) -> StackConfig:
    variant, depth, _ = job
    return variant.stack(config, depth, TRAINED_WIDTH[variant.kind])


def _in_groups(jobs: Sequence[Job], config: DepthSettings, data: DataSet) -> Outcomes:
    """Captured together, without threads: CUDA repeats the steps of a whole group by itself."""
    of = {StackTraining(_stack(job, config), job[0].norm, job[2]): job for job in jobs}
    graphs = graphs_for(data.train.images.device)
    for training, trained in train_together(list(of), data, config, graphs, LARGEST_GROUP):
        yield of[training], trained


def _on_threads(jobs: Sequence[Job], config: DepthSettings, data: DataSet) -> Outcomes:
    """Side by side, each on a thread, since such small steps fill one core."""

    def work(job: Job) -> Trained | None:
        variant, _, seed = job
        stack = _stack(job, config)
        return train_stack(stack, variant.norm, data, config, seed=seed, after_epoch=threads.interrupted)

    threads = Threads(work, cores())
    with threads_each(1), closing(threads.do(jobs)) as ended:
        for job, outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
            yield job, outcome
