"""Figures of the claims: one per norm and seed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from normbench.analysis import Reached, first_reached
from normbench.analysis.sensitivity import LEARNED
from normbench.networks.stacks import StackConfig
from normbench.norms import Norm
from normbench.runs import RunResult, read_rows
from normbench.studies.claims.runs import CONTROL, Run
from normbench.studies.depth.signal import measure_signal

TOLERANCE = 0.05
"""Loss of validation accuracy up to which a setting is tolerated; chance moves that on 2,000 images by two points."""
SHALLOW, DEEP = (StackConfig("conv", depth=depth, width=64, side=4) for depth in (1, 30))
"""Stacks of 3x3 convolutions that gradients are sent through; the deep one is as deep as that of `normbench depth`."""
SMALLEST = 1e-45
"""Gradient that a vanished one counts as: the smallest float32."""

Accuracies = dict[str, dict[int, dict[tuple[str, float], float | None]]]
"""Validation accuracy by norm, seed and setting; None of a run that diverged."""


def accuracies(runs: Sequence[Run]) -> Accuracies:
    """Arrange the accuracies of runs; one that failed has no entry."""
    table: Accuracies = {}
    for run in runs:
        of_norm = table.setdefault(run.label, {})
        if run.result.status != "failed":
            of_norm.setdefault(run.config.seed, {})[run.setting] = run.result.validation_accuracy
    return table


def best_rates(table: Accuracies) -> dict[str, float]:
    """Learning rate of each norm with the highest mean accuracy over the seeds; a diverged run counts as nothing."""
    best = {}
    for norm, by_seed in table.items():
        rates = sorted({rate for of_seed in by_seed.values() for _, rate in of_seed})
        means = {rate: sum(of_seed.get(("rate", rate)) or 0.0 for of_seed in by_seed.values()) for rate in rates}
        if means:
            best[norm] = max(means, key=means.__getitem__)
    return best


def tolerated(of_seed: Mapping[tuple[str, float], float | None]) -> tuple[tuple[str, float], ...]:
    """Settings whose accuracy is within `TOLERANCE` of that of the best one; none where even that is near chance."""
    finished = {setting: accuracy for setting, accuracy in of_seed.items() if accuracy is not None}
    best = max(finished.values(), default=0.0)
    if best < LEARNED:
        return ()
    return tuple(setting for setting, accuracy in finished.items() if accuracy >= best - TOLERANCE)


def largest_rate(of_seed: Mapping[tuple[str, float], float | None]) -> float | None:
    """Power of ten of the largest learning rate that is tolerated; None where no rate is."""
    return max((math.log10(rate) for _, rate in tolerated(of_seed)), default=None)


def tolerated_share(of_seed: Mapping[tuple[str, float], float | None]) -> float:
    """Share of the settings that are tolerated; a run that diverged is not."""
    return len(tolerated(of_seed)) / len(of_seed)


def target_of(control: Sequence[RunResult]) -> float | None:
    """Validation accuracy that every finished run without a norm ends at or above; None without such a run."""
    ends = [result.validation_accuracy for result in control if result.validation_accuracy is not None]
    return min(ends, default=None)


def time_to(result: RunResult, target: float) -> Reached | None:
    """Epoch and seconds at which a run reached an accuracy; None if it did not, or diverged."""
    if result.status != "done" or result.folder is None:
        return None
    return first_reached(read_rows(Path(result.folder) / "metrics.jsonl"), target)


def gap(result: RunResult) -> float | None:
    """Train accuracy minus validation accuracy; None if the run diverged."""
    if result.train_accuracy is None or result.validation_accuracy is None:
        return None
    return result.train_accuracy - result.validation_accuracy


def gradient_change(norm: str, groups: int, seed: int, device: torch.device) -> float:
    """Orders of magnitude between the gradients of the first layer of a deep and of a shallow fresh stack.

    The layers of one stack are not compared: without a norm their gradients vanish together.
    """
    made = Norm.parse(norm, groups)
    shallow, deep = (measure_signal(stack, made, seed, device).gradient_norms[0] for stack in (SHALLOW, DEEP))
    return abs(math.log10(max(deep, SMALLEST)) - math.log10(max(shallow, SMALLEST)))


def ordered(norms: Sequence[str]) -> list[str]:
    """Norms with the control first."""
    return [CONTROL, *(norm for norm in norms if norm != CONTROL)]
