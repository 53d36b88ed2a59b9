"""Stacks of every norm, before or after weights. The layers are linear ones, or 3x3 convolutions."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import get_args

import torch

from normbench import randomness
from normbench.data import DataSet
from normbench.device import resolve_device
from normbench.engine.concurrency import LARGEST_GROUP, cores
from normbench.engine.threads import Threads, threads_each
from normbench.networks.blocks import check_output
from normbench.networks.stacks import Kind, Position, StackConfig
from normbench.norms import Norm
from normbench.norms.weights import WEIGHTS
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.signal import Signal, mean_signal, measure_signal
from normbench.studies.depth.training import StackTraining, TrainedStack, train_stack, train_together
from normbench.studies.study import StudyContext
from normbench.training import graphs_for

CONTROL = "none"
KINDS: tuple[Kind, ...] = get_args(Kind)
POSITIONS: tuple[Position, ...] = get_args(Position)
SIDE = 4
CONV_WIDTH = 64
TRAINED_WIDTH: dict[Kind, int] = {"mlp": 64, "conv": 16}
"""Widths of the stacks that are trained, smaller than of those that noise is sent through, to take seconds."""
Job = tuple["Variant", int, int]
"""Variant, depth and seed to train."""
Outcomes = Generator[tuple[Job, TrainedStack | None], None, None]


@dataclass(frozen=True)
class Variant:
    """One norm at one position in one kind of stack."""

    kind: Kind
    position: Position
    norm: Norm

    @property
    def label(self) -> str:
        """`none`, or the norm and its position: `bn pre`."""
        return self.norm.name if self.norm.name == CONTROL else f"{self.norm.name} {self.position}"

    def stack(self, settings: DepthSettings, depth: int, width: int) -> StackConfig:
        """Make the config of its stack."""
        return StackConfig(self.kind, depth, width, self.position, settings.activation, settings.init, SIDE)


@dataclass(frozen=True)
class VariantResult:
    """Signal at initialisation of a variant, and its trainings."""

    variant: Variant
    signal: Signal
    trained: dict[int, tuple[TrainedStack | None, ...]]
    """By depth, one per seed; None if every learning rate diverged."""


@dataclass(frozen=True)
class Measurement:
    """Results of the variants, and the conditions that they hold for."""

    settings: DepthSettings
    results: tuple[VariantResult, ...]
    data: DataSet | None
    """Images that were trained on, None if nothing was trained."""
    left_out: tuple[str, ...]
    """Sentences on norms that were left out, with the reason."""
    device: torch.device

    @property
    def by_kind(self) -> dict[Kind, list[VariantResult]]:
        """Results by kind of stack."""
        groups = {kind: [result for result in self.results if result.variant.kind == kind] for kind in KINDS}
        return {kind: results for kind, results in groups.items() if results}


def measure(settings: DepthSettings, context: StudyContext) -> Measurement:
    """Measure every stack at initialisation, and train stacks of several depths unless that is turned off."""
    device = resolve_device(context.machine.device)
    images = settings.data  # validated without training as well
    data = None if settings.no_train else context.load_data(images)
    return measure_depth(settings, device, data, context.note)


def measure_depth(
    settings: DepthSettings, device: torch.device, data: DataSet | None, note: Callable[[str], None]
) -> Measurement:
    """Send noise through every stack; with data, train it at a few depths.

    Raises:
        UsageError: A norm is unknown or cannot be built for these widths, or the images do not fill a batch.
    """
    norms = [Norm.parse(name, settings.groups) for name in settings.norms]
    reasons = {variant: reason_to_leave_out(variant, device) for variant in _variants(norms)}
    variants = [variant for variant, reason in reasons.items() if reason is None]
    for variant in variants:
        for width in (_width(variant.kind, settings), TRAINED_WIDTH[variant.kind]):
            _check(variant, width, device)
    signals = {}
    for number, variant in enumerate(variants, 1):
        note(f"signal {number}/{len(variants)}: {variant.kind}, {variant.label}")
        stack = variant.stack(settings, settings.depth, _width(variant.kind, settings))
        by_seed = [measure_signal(stack, variant.norm, seed, device) for seed in settings.all_seeds]
        signals[variant] = mean_signal(by_seed)
    trained = {} if data is None else _train_all(variants, settings, data, note)
    results = tuple(VariantResult(variant, signals[variant], trained.get(variant, {})) for variant in variants)
    left_out = dict.fromkeys(reason for reason in reasons.values() if reason)
    return Measurement(settings, results, data, tuple(left_out), device)


def _variants(norms: list[Norm]) -> Iterator[Variant]:
    """Combine every norm with both positions; the control has one, as its position means nothing."""
    for kind in KINDS:
        for norm in norms:
            for position in POSITIONS[:1] if norm.name == CONTROL else POSITIONS:
                yield Variant(kind, position, norm)


@torch.no_grad()
def _check(variant: Variant, width: int, device: torch.device) -> None:
    """Report a norm that cannot be built, or gives no tensor of its input's shape, before anything is measured."""
    norm = variant.norm.make(width).to(device)
    if variant.norm.is_custom:
        x = torch.zeros(2, width, *((SIDE, SIDE) if variant.kind == "conv" else (1, 1)), device=device)
        with randomness.restored():
            check_output(variant.norm, x, norm(x))


def reason_to_leave_out(variant: Variant, device: torch.device) -> str | None:
    """Explain why a norm is meaningless on vectors, found by trying it on random ones; None if it is not."""
    if variant.kind != "mlp":
        return None
    name = variant.norm.name
    if weights := WEIGHTS.get(variant.norm.weights):
        return f"{name} is left out of the mlp: {weights.title} is that of convolutions here"
    x = torch.randn(8, 8, 1, 1, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        output = Norm.parse(name, 1).make(8).to(device)(x)
    except (ValueError, RuntimeError) as error:
        return f"{name} is left out of the mlp, where a channel of an image is one value: {str(error).splitlines()[0]}"
    check_output(variant.norm, x, output)
    return None if output.std() > 0 else f"{name} is left out of the mlp: of one value per channel it leaves nothing"


def _width(kind: Kind, settings: DepthSettings) -> int:
    return settings.width if kind == "mlp" else CONV_WIDTH


def _train_all(
    variants: Sequence[Variant], settings: DepthSettings, data: DataSet, note: Callable[[str], None]
) -> dict[Variant, dict[int, tuple[TrainedStack | None, ...]]]:
    """Train every variant at every depth with every seed: on CUDA in captured groups, on a CPU in threads."""
    jobs = [(variant, depth, seed) for variant in variants for depth in settings.depths for seed in settings.all_seeds]
    outcomes: dict[Job, TrainedStack | None] = {}
    train = _in_threads if data.train.images.device.type == "cpu" else _in_groups
    with closing(train(jobs, settings, data)) as ended:  # closed early, it stops its threads
        for (variant, depth, seed), trained in ended:
            outcomes[variant, depth, seed] = trained
            if depth == settings.depth and seed == settings.all_seeds[-1]:
                note(f"trained {len(outcomes)}/{len(jobs)}: {variant.kind}, {variant.label}")
    return {
        variant: {
            depth: tuple(outcomes[variant, depth, seed] for seed in settings.all_seeds) for depth in settings.depths
        }
        for variant in variants
    }


def _stack(job: Job, settings: DepthSettings) -> StackConfig:
    variant, depth, _ = job
    return variant.stack(settings, depth, TRAINED_WIDTH[variant.kind])


def _in_groups(jobs: Sequence[Job], settings: DepthSettings, data: DataSet) -> Outcomes:
    """Train in groups without threads: CUDA repeats the captured steps of a whole group by itself."""
    by_training = {StackTraining(_stack(job, settings), job[0].norm, job[2]): job for job in jobs}
    graphs = graphs_for(data.train.images.device)
    for training, trained in train_together(list(by_training), data, settings, graphs, LARGEST_GROUP):
        yield by_training[training], trained


def _in_threads(jobs: Sequence[Job], settings: DepthSettings, data: DataSet) -> Outcomes:
    """Train concurrently, one thread per training, as steps this small fill one core."""

    def work(job: Job) -> TrainedStack | None:
        variant, _, seed = job
        stack = _stack(job, settings)
        return train_stack(stack, variant.norm, data, settings, seed=seed, after_epoch=threads.interrupted)

    threads = Threads(work, cores())
    with threads_each(1), closing(threads.do(jobs)) as ended:
        for job, outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
            yield job, outcome
