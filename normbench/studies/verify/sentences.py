"""Conclusions of `verify`, computed from its comparisons."""

from collections.abc import Sequence

import numpy as np

from normbench.studies.verify.builtin import ONE_PASS
from normbench.studies.verify.checks import Check, Verified, badness, worst


def conclusions(verified: Sequence[Verified]) -> tuple[str, ...]:
    """Failures or the largest error, then what was not checked or compared, refused, and not decided."""
    defined = [one for one in verified if one.defined]
    failed = [one for one in defined if not one.passed]
    return (
        *_answer(defined, failed), *_undefined(verified), *_not_compared(defined), *_not_built(defined),
        *_refused(defined), *_one_pass(defined), *_undecided(defined),
    )  # fmt: skip


def _answer(defined: Sequence[Verified], failed: Sequence[Verified]) -> list[str]:
    checks = [(check, one.name) for one in defined for check in one.checks]
    names = ", ".join(one.name for one in failed)
    if failed:
        return [f"Not what the definition says: {names}.", *(_worst_of(one) for one in failed)]
    if not checks:
        return []
    largest, name = max(checks, key=lambda pair: badness(pair[0]))
    subjects = f"All {len(defined)} are what their definitions say" if len(defined) > 1 else f"{name} is as defined"
    not_compared = sorted({name for one in defined for name in one.not_compared})
    left_out = f", {_and(not_compared)} not compared" if not_compared else ""
    return [
        f"{subjects}{left_out}: {len(checks):,} comparisons, and the largest error is {percent(largest.share)} of "
        f"what rounding can explain ({name}, {largest.quantity}, {largest.where})."
    ]


def _worst_of(one: Verified) -> str:
    """The value that is furthest from its definition, or what else is wrong."""
    check = worst(check for check in one.checks if not check.passed)
    if check is None:
        return f"{one.name}: {one.problems[0]}."
    return (
        f"{one.name}: {value_name(check)} is {check.got:.6g} and should be {check.expected:.6g}, on {check.where}: an "
        f"error of {percent(check.share)} of the bound."
    )


def value_name(check: Check) -> str:
    """The array and the worst value in it."""
    return f"{check.array}{list(check.index)}" if check.index else f"{check.array}, along a direction,"


def _undefined(verified: Sequence[Verified]) -> list[str]:
    names = [one.name for one in verified if not one.defined]
    return [f"No reference definition, so not checked: {', '.join(names)}."] if names else []


def _not_compared(defined: Sequence[Verified]) -> list[str]:
    if not any(one.not_compared for one in defined):
        return []
    return [
        "To have buffers compared, let the reference return (y, buffers) with those that a step leaves behind by name; "
        "to have initial values compared, set an attribute of it: reference.initial = {name: value}."
    ]


def _not_built(defined: Sequence[Verified]) -> list[str]:
    return [
        f"Not checked with {_and([str(channels) for channels in one.not_built])} channels: {label(one.name)} cannot be "
        "built for them."
        for one in defined
        if one.not_built
    ]


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _refused(verified: Sequence[Verified]) -> list[str]:
    refused = [f"{one.name} {one.refused}" for one in verified if one.refused]
    return [f"Inputs of single values, which have no variance, are refused: {', '.join(refused)}."] if refused else []


def _one_pass(verified: Sequence[Verified]) -> list[str]:
    """What torch's variance in one pass costs, where it was measured."""
    sentences = []
    for one in verified:
        by_layout = [
            [c for c in one.of("float32", "forward", "offset") if c.layout == layout]
            for layout in ("channels last", "contiguous")
        ]
        if (one.name, "channels last") not in ONE_PASS or not all(by_layout):
            continue
        there, here = (max(check.relative for check in checks) for checks in by_layout)
        sentences.append(
            f"Where the mean is 1,000 standard deviations, the float32 output of {one.name} is off by {there:.1e} of "
            f"its largest value in channels last, and by {here:.1e} contiguous: in channels last torch takes the "
            "variance as E[x²] - E[x]², and the bound allows for that."
        )
    return sentences


def _undecided(verified: Sequence[Verified]) -> list[str]:
    """Comparisons that nothing could have failed."""
    float32 = [check for one in verified for check in one.of("float32")]
    vague = sum(not check.decides for check in float32)
    if not vague:
        return []
    float64 = [check for one in verified for check in one.of("float64")]
    left = sum(not check.decides for check in float64)
    return [
        f"In {vague:,} of {len(float32):,} comparisons in float32 the terms cancel so far that the bound is above the "
        f"result; in float64 in {left:,} of {len(float64):,}."
    ]


def label(name: str) -> str:
    """A norm's name as tables have room for: of one of the user's own that of its factory."""
    return name.rpartition(":")[2]


def percent(share: float) -> str:
    """Format a share of a bound in percent, or as a factor where it is ten times the bound or more."""
    if np.isnan(share):
        return "nan"
    return f"{100 * share:.2g} %" if share < 10 else f"{share:.0e}×"
