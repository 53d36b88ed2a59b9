"""Conclusions and caption of `depth`. Both are computed from its figures."""

import math
from collections.abc import Sequence
from statistics import fmean

import torch

from normbench.device import describe
from normbench.studies.depth.measure import CONTROL, TRAINED_WIDTH, Measurement, VariantResult
from normbench.studies.depth.settings import DepthSettings
from normbench.studies.depth.signal import BATCH
from normbench.text import counted

STEADY = 2.0
"""Largest factor between the output norms of the hidden layers that is called steady."""
LEVEL = 10.0
"""Largest factor between the gradients of the first and the last layer that is called level."""
SIMILAR = 0.9
"""Mean cosine above which the results for different inputs are called similar."""
CHANCE = 0.1


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Effect of depth on signal, gradient and training, one kind of stack after the other."""
    settings, sentences = measurement.settings, []
    for kind, results in measurement.by_kind.items():
        parts = [_output_norms(results, settings.depth), _gradients(results), _similarity(results)]
        if measurement.data is not None:
            parts.append(_training(results, settings))
        sentences += [f"{kind}: {part}" for part in parts]
    return tuple(sentences)


def caption(measurement: Measurement) -> str:
    """Conditions of the figures: stacks, noise, training, seeds, device and version."""
    settings, data = measurement.settings, measurement.data
    seeds = (
        f"seed {settings.seed}"
        if settings.seeds == 1
        else f"{settings.seeds} seeds ({settings.seed}-{settings.all_seeds[-1]})"
    )
    parts = [
        f"{settings.activation}, weights initialized by `{settings.init}`, no shortcut, and no bias "
        "but the norm's (with `none` and `lrn`: that of the weights)",
        f"signal and gradient: N(0, 1) noise, batch {BATCH}, train mode, before any training",
    ]
    if data is not None:
        epochs = counted(settings.epochs, "epoch")
        parts.append(
            f"training: {data.name} ({len(data.train):,} train, {len(data.validation or ()):,} validation and "
            f"{len(data.test):,} test images), {epochs}, batch {settings.batch_size}, SGD with momentum "
            f"0.9, learning rate the best of {', '.join(f'{lr:g}' for lr in settings.lrs)} by validation accuracy, "
            f"widths {TRAINED_WIDTH['mlp']} (mlp) and {TRAINED_WIDTH['conv']} (conv)"
        )
    return "; ".join([*parts, seeds, describe(measurement.device), f"torch {torch.__version__}"]) + "."


def mean_accuracy(result: VariantResult, depth: int) -> float:
    """Average the test accuracy over seeds; a training whose every rate diverged counts as chance."""
    return fmean(CHANCE if trained is None else trained.test_accuracy for trained in result.trained[depth])


def learning_depths(results: Sequence[VariantResult], depths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Find the depths at which each variant learns: at least half way from chance to the best accuracy of any."""
    best = max(mean_accuracy(result, depth) for result in results for depth in depths)
    bar = (CHANCE + best) / 2
    return {
        result.variant.label: tuple(depth for depth in depths if mean_accuracy(result, depth) >= bar > CHANCE)
        for result in results
    }


def _output_norms(results: Sequence[VariantResult], depth: int) -> str:
    norms = {result.variant.label: result.signal.output_norms[1:] for result in results}
    steady = {label: values for label, values in norms.items() if max(values) <= STEADY * min(values)}
    parts = [
        f"goes from {values[0]:.3g} after the first hidden layer to {values[-1]:.2g} after number {depth} "
        f"{_with(label)}"
        for label, values in norms.items()
        if label not in steady
    ]
    if steady:
        low, high = min(map(min, steady.values())), max(map(max, steady.values()))
        parts.append(f"stays between {low:.3g} and {high:.3g} {_with(*steady)}")
    return f"the norm of the output {'; it '.join(parts)}."


def _gradients(results: Sequence[VariantResult]) -> str:
    """Gradient of the first layer divided by that of the last: growing, shrinking and level ones."""
    gradients = {result.variant.label: result.signal.gradient_norms for result in results}
    ratios = {label: norms[0] / norms[-1] if norms[-1] else math.inf for label, norms in gradients.items()}
    level = [label for label, ratio in ratios.items() if 1 / LEVEL <= ratio <= LEVEL]
    groups = (
        ("grows towards the first layer", [label for label, ratio in ratios.items() if ratio > LEVEL]),
        ("shrinks towards the first layer", [label for label, ratio in ratios.items() if ratio < 1 / LEVEL]),
    )
    parts = [
        f"{change} {_with(*labels)} ({_span([ratios[label] for label in labels])} times that of the last)"
        for change, labels in groups
        if labels
    ]
    for labels in ([CONTROL] if CONTROL in level else [], [label for label in level if label != CONTROL]):
        if labels:
            span = _span([gradients[label][0] for label in labels])
            parts.append(f"keeps its size {_with(*labels)} (first layer: {span})")
    return f"the gradient of the weights {'; it '.join(parts)}."


def _similarity(results: Sequence[VariantResult]) -> str:
    cosines = {result.variant.label: result.signal.cosine_similarity[-1] for result in results}
    groups = (
        ("are similar", [label for label, cosine in cosines.items() if cosine > SIMILAR]),
        ("stay apart", [label for label, cosine in cosines.items() if cosine <= SIMILAR]),
    )
    parts = [
        f"{state} {_with(*labels)} (cosine {_span([cosines[label] for label in labels])})"
        for state, labels in groups
        if labels
    ]
    dead = {result.variant.label: result.signal.dead[-1] for result in results if result.signal.dead[-1] > 0}
    units = f"; dead units: {', '.join(f'{share:.0%} {_with(label)}' for label, share in dead.items())}"
    outputs = f"after the last layer the outputs for different inputs {', and '.join(parts)}"
    return f"{outputs}{units if dead else ''}.".replace("%", " %")


def _training(results: Sequence[VariantResult], settings: DepthSettings) -> str:
    depths = learning_depths(results, settings.depths)
    deepest = [f"{max(learned) if learned else 'none of them'} {_with(label)}" for label, learned in depths.items()]
    return (
        f"deepest of {', '.join(map(str, settings.depths))} hidden layers that learns (half way from chance to the "
        f"best accuracy here): {', '.join(deepest)}."
    )


def rounded(value: float) -> str:
    """Format two digits, with an exponent only instead of many zeros: 250, 0.0015, 3.3e-11."""
    return f"{float(f'{value:.2g}'):g}"


def _span(values: Sequence[float]) -> str:
    low, high = rounded(min(values)), rounded(max(values))
    return low if low == high else f"{low} to {high}"


def _with(*labels: str) -> str:
    if labels == (CONTROL,):
        return "without a norm"
    return f"with {', '.join('no norm' if label == CONTROL else label for label in labels)}"
