"""The answer of the study of depth, in sentences that follow from its figures."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from normbench.networks.stacks import Kind
from normbench.studies.depth.measure import CONTROL, Depth, Measured

STEADY = 2.0
"""An output norm that stays within this factor from the first hidden layer to the last is called steady."""
LEVEL = 10.0
"""A gradient whose first and last layer are within this factor is called level."""
ALIKE = 0.9
"""A mean cosine above this is called alike."""
CHANCE = 0.1


def conclusions(depth: Depth, by_kind: Mapping[Kind, Sequence[Measured]]) -> tuple[str, ...]:
    """What depth does to the signal, the gradient and the training, one kind of stack after the other."""
    sentences = []
    for kind, measured in by_kind.items():
        said = [_signal(depth, measured), _gradient(measured), _alike(measured)]
        if depth.data is not None:
            said.append(_training(depth, measured))
        sentences += [f"{kind}: {sentence}" for sentence in said]
    return tuple(sentences)


def mean_accuracy(one: Measured, depth: int) -> float:
    """Over seeds; a training whose every rate diverged counts as chance."""
    return fmean(CHANCE if run is None else run.test_accuracy for run in one.trained[depth])


def learns(measured: Sequence[Measured], depths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Depths at which each variant learns: half way from chance to the best accuracy of any, or better."""
    best = max(mean_accuracy(one, depth) for one in measured for depth in depths)
    bar = (CHANCE + best) / 2
    return {
        one.variant.label: tuple(depth for depth in depths if mean_accuracy(one, depth) >= bar > CHANCE)
        for one in measured
    }


def _signal(depth: Depth, measured: Sequence[Measured]) -> str:
    norms = {one.variant.label: one.signal.output_norms[1:] for one in measured}
    steady = {label: values for label, values in norms.items() if max(values) <= STEADY * min(values)}
    parts = [
        f"goes from {values[0]:.3g} after the first hidden layer to {values[-1]:.2g} after number {depth.config.depth} "
        f"{_with(label)}"
        for label, values in norms.items()
        if label not in steady
    ]
    if steady:
        low, high = min(map(min, steady.values())), max(map(max, steady.values()))
        parts.append(f"stays between {low:.3g} and {high:.3g} {_with(*steady)}")
    return f"the norm of the output {'; it '.join(parts)}."


def _gradient(measured: Sequence[Measured]) -> str:
    """Of the first layer by that of the last, in three groups."""
    ratios = {one.variant.label: _ratio(one.signal.gradient_norms) for one in measured}
    level = [label for label, ratio in ratios.items() if 1 / LEVEL <= ratio <= LEVEL]
    groups = (
        ("grows towards the first layer", [label for label, ratio in ratios.items() if ratio > LEVEL]),
        ("shrinks towards the first layer", [label for label, ratio in ratios.items() if ratio < 1 / LEVEL]),
    )
    parts = [
        f"{does} {_with(*labels)} ({_span([ratios[label] for label in labels])} times that of the last)"
        for does, labels in groups
        if labels
    ]
    first = {one.variant.label: one.signal.gradient_norms[0] for one in measured}
    for labels in ([CONTROL] if CONTROL in level else [], [label for label in level if label != CONTROL]):
        if labels:
            parts.append(f"keeps its size {_with(*labels)} (first layer: {_span([first[label] for label in labels])})")
    return f"the gradient of the weights {'; it '.join(parts)}."


def _alike(measured: Sequence[Measured]) -> str:
    cosines = {one.variant.label: one.signal.cosine_similarity[-1] for one in measured}
    alike = [label for label, cosine in cosines.items() if cosine > ALIKE]
    apart = [label for label, cosine in cosines.items() if cosine <= ALIKE]
    parts = [
        f"{verb} {_with(*labels)} (cosine {_span([cosines[label] for label in labels])})"
        for verb, labels in (("have become alike", alike), ("stay apart", apart))
        if labels
    ]
    dead = {one.variant.label: one.signal.dead[-1] for one in measured if one.signal.dead[-1] > 0}
    units = f"; dead units: {', '.join(f'{share:.0%} {_with(label)}' for label, share in dead.items())}"
    return f"after the last layer different inputs {', and '.join(parts)}{units if dead else ''}.".replace("%", " %")


def _ratio(values: Sequence[float]) -> float:
    return values[0] / values[-1] if values[-1] else math.inf


def rounded(value: float) -> str:
    """Two digits, with an exponent only where there would be many zeros: 250, 0.0015, 3.3e-11."""
    return f"{float(f'{value:.2g}'):g}"


def _span(values: Sequence[float]) -> str:
    low, high = rounded(min(values)), rounded(max(values))
    return low if low == high else f"{low} to {high}"


def _training(depth: Depth, measured: Sequence[Measured]) -> str:
    deepest = learns(measured, depth.config.depths)

    told = [f"{max(depths) if depths else 'none of them'} {_with(label)}" for label, depths in deepest.items()]
    tried = ", ".join(map(str, depth.config.depths))
    return (
        f"deepest of {tried} hidden layers that learns (half way from chance to the best accuracy here): "
        f"{', '.join(told)}."
    )


def _with(*labels: str) -> str:
    if labels == (CONTROL,):
        return "without a norm"
    return f"with {', '.join('no norm' if label == CONTROL else label for label in labels)}"
