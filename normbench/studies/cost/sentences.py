"""Conclusions and caption of `cost`. Both are computed from its figures."""

import torch

from normbench.device import describe
from normbench.studies.cost.measure import Measurement

MIB = 2**20


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Time, share of the norm layers, memory, and difference between the modes."""
    control, *rest = measurement.costs
    others = sorted(rest, key=lambda cost: cost.ratio.median)
    none = (
        f"A training step takes {1000 * control.step.median:.3g} ms without a norm and keeps "
        f"{mebibytes(control.step_saved)} MiB for the"
    )
    if not others:
        return (f"{none} backward pass.",)
    ratios = ", ".join(f"{cost.norm} {cost.ratio.median:.2f}" for cost in others)
    shares = ", ".join(f"{cost.norm} {percent(cost.share)}" for cost in others)
    memory = ", ".join(f"{cost.norm} {cost.step_saved / control.step_saved:.2f}" for cost in others)
    differing = ", ".join(cost.norm for cost in others if cost.differs)
    return (
        f"{none} backward pass; with a norm it takes this many times as long: {ratios}.",
        f"Share of the norm layers, forward and backward, in the step: {shares}.",
        f"Memory kept for the backward pass, as a multiple of that without a norm: {memory}.",
        f"Train and eval mode give different outputs with {differing}."
        if differing
        else "No norm here gives different outputs in train and in eval mode.",
    )


def caption(measurement: Measurement) -> str:
    """Conditions of the figures: network, batch, precision, rounds, device and version."""
    config, training = measurement.config, measurement.config.training
    return (
        f"Network {config.network.name} on batches of {training.batch_size} noise images of 3x32x32; "
        f"{config.network.activation}; precision {training.precision}; {measurement.repeats} rounds after a warm-up, "
        f"the norms taking turns; median [quartiles]; {describe(measurement.device)}; torch {torch.__version__}."
    )


def mebibytes(count: int | None) -> str:
    """Format bytes in MiB; `-` if they were not measured."""
    return "-" if count is None else f"{count / MIB:.1f}"


def percent(share: float) -> str:
    """Format a fraction."""
    return f"{100 * share:.1f} %"
