"""Conclusions and caption of `verify`. Both are computed from its comparisons."""

from collections.abc import Sequence

import numpy as np
import torch

from normbench.analysis.format import join_names
from normbench.device import describe
from normbench.studies.verify.builtin import ONE_PASS
from normbench.studies.verify.cases import HARD
from normbench.studies.verify.checks import Check, Verification, severity, worst
from normbench.studies.verify.measure import Measurement


def conclusions(measurement: Measurement) -> tuple[str, ...]:
    """Failures or the largest error, then norms, buffers and inputs without a comparison, and undecided ones."""
    defined = measurement.defined
    return (
        *_outcome(defined),
        *_undefined(measurement.verifications),
        *_not_compared(defined),
        *_not_built(defined),
        *_refused(defined),
        *_one_pass(defined),
        *_undecided(measurement.verifications),
    )


def caption(measurement: Measurement) -> str:
    """Conditions of the comparisons: seed, inputs, modes, layouts, device and version."""
    return (
        f"Seed {measurement.seed}; for each norm {measurement.cases} ordinary inputs, {HARD} hard ones and those of "
        "the network's layers; forward and backward, train and eval mode, contiguous and channels last; "
        f"{describe(torch.device('cpu'))}; torch {torch.__version__}."
    )


def _outcome(defined: Sequence[Verification]) -> list[str]:
    failed = [verification for verification in defined if not verification.passed]
    if failed:
        names = ", ".join(verification.name for verification in failed)
        return [f"Not as defined: {names}.", *map(_failure, failed)]
    checks = [(check, verification.name) for verification in defined for check in verification.checks]
    if not checks:
        return []
    largest, name = max(checks, key=lambda pair: severity(pair[0]))
    subjects = f"All {len(defined)} are as defined" if len(defined) > 1 else f"{name} is as defined"
    not_compared = sorted({array for verification in defined for array in verification.not_compared})
    without = f", {join_names(not_compared)} not compared" if not_compared else ""
    return [
        f"{subjects}{without}: {len(checks):,} comparisons, and the largest error is {percent(largest.share)} of "
        f"what rounding can explain ({name}, {largest.quantity}, {largest.where})."
    ]


def _failure(verification: Verification) -> str:
    """The value that is furthest from its definition, or the first problem."""
    check = worst(check for check in verification.checks if not check.passed)
    if check is None:
        return f"{verification.name}: {verification.problems[0]}."
    return (
        f"{verification.name}: {value_name(check)} is {check.got:.6g} and should be {check.expected:.6g}, on "
        f"{check.where}: an error of {percent(check.share)} of the bound."
    )


def value_name(check: Check) -> str:
    """Name the array and the worst value in it."""
    return f"{check.array}{list(check.index)}" if check.index else f"{check.array}, along a direction,"


def _undefined(verifications: Sequence[Verification]) -> list[str]:
    names = [verification.name for verification in verifications if not verification.defined]
    return [f"No reference definition, so not checked: {', '.join(names)}."] if names else []


def _not_compared(defined: Sequence[Verification]) -> list[str]:
    if not any(verification.not_compared for verification in defined):
        return []
    return [
        "To have buffers compared, let the reference return (y, buffers), their values after the step by name; "
        "to have initial values compared, set its attribute: reference.initial = {name: value}."
    ]


def _not_built(defined: Sequence[Verification]) -> list[str]:
    return [
        f"Not checked with {join_names(list(map(str, verification.not_built)))} channels: {label(verification.name)} "
        "cannot be built for them."
        for verification in defined
        if verification.not_built
    ]


def _refused(defined: Sequence[Verification]) -> list[str]:
    refused = [f"{verification.name} {verification.refused}" for verification in defined if verification.refused]
    return [f"Inputs of single values, which have no variance, are refused: {', '.join(refused)}."] if refused else []


def _one_pass(defined: Sequence[Verification]) -> list[str]:
    """Cost of torch's variance in one pass, if it was measured."""
    sentences = []
    for verification in defined:
        by_layout = [
            [check for check in verification.of("float32", "forward", "offset") if check.layout == layout]
            for layout in ("channels last", "contiguous")
        ]
        if (verification.name, "channels last") not in ONE_PASS or not all(by_layout):
            continue
        channels_last, contiguous = (max(check.relative for check in checks) for checks in by_layout)
        sentences.append(
            f"With a mean of 1,000 standard deviations, the float32 output of {verification.name} is off by "
            f"{channels_last:.1e} of its largest value in channels last, and by {contiguous:.1e} contiguous: in "
            "channels last torch computes the variance as E[x²] - E[x]², and the bound allows for that."
        )
    return sentences


def _undecided(verifications: Sequence[Verification]) -> list[str]:
    """Comparisons whose bound is so wide that none could have failed."""
    float32 = [check for verification in verifications for check in verification.of("float32")]
    undecided = sum(not check.decides for check in float32)
    if not undecided:
        return []
    float64 = [check for verification in verifications for check in verification.of("float64")]
    remaining = sum(not check.decides for check in float64)
    return [
        f"In {undecided:,} of {len(float32):,} comparisons in float32 the terms cancel so far that the bound is above "
        f"the result; in float64 in {remaining:,} of {len(float64):,}."
    ]


def label(name: str) -> str:
    """Shorten the name of a norm for tables: a custom one to that of its factory."""
    return name.rpartition(":")[2]


def percent(share: float) -> str:
    """Format a share of a bound in percent, or as a factor from ten times the bound on."""
    if np.isnan(share):
        return "nan"
    return f"{100 * share:.2g} %" if share < 10 else f"{share:.0e}×"
