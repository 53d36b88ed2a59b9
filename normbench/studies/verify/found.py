"""What a verification found, in sentences, tables and a chart."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from normbench.analysis import Chart, Finding, FindingTable, Line
from normbench.device import describe
from normbench.runs.environment import environment
from normbench.studies.verify.cases import KINDS
from normbench.studies.verify.registered import DROPOUT, ONE_PASS
from normbench.studies.verify.verdict import QUANTITIES, ROUNDING, Check, Precision, Quantity, Verified, badness, worst

SHORT: dict[Quantity, str] = {
    "forward": "forward", "input gradient": "dx", "parameter gradients": "dp", "buffers": "buffers",
}  # fmt: skip
"""So that the tables fit 80 columns."""
COLUMNS = ("norm", "bit", *SHORT.values(), "bound", "used", "")
MOST_PROBLEMS = 4
"""Of each norm, in warnings."""


def finding(verified: Sequence[Verified], seed: int, cases: int) -> Finding:
    """The finding of a verification; `cases` are the ordinary ones."""
    device = torch.device("cpu")
    failed = [one for one in verified if not one.passed]
    failures = _failures(failed)
    tables = [_verdicts(verified), *([failures] if failures.rows else []), _hard_inputs(verified)]
    return Finding(
        study="verify",
        title="Is every norm what its definition says?",
        answer=(*_answer(verified, failed), *_refused(verified), *_one_pass(verified), *_undecided(verified)),
        conditions=(
            f"Seed {seed}; for each norm {cases} ordinary and {verified[0].cases - cases} hard inputs; forward and "
            "backward, train and eval mode, contiguous and channels last; "
            f"{describe(device)}; torch {torch.__version__}."
        ),
        tables=tuple(tables),
        charts=(_chart(verified),),
        warnings=tuple(f"{one.name}: {text}" for one in failed for text in (*one.problems[:MOST_PROBLEMS], *one.notes)),
        environment=environment(device),
        values={"passed": not failed, "norms": [_values(one) for one in verified]},
    )


def _answer(verified: Sequence[Verified], failed: Sequence[Verified]) -> list[str]:
    checks = [(check, one.name) for one in verified for check in one.checks]
    names = ", ".join(one.name for one in failed)
    if failed:
        return [f"Not what the definition says: {names}."]
    largest, name = max(checks, key=lambda pair: badness(pair[0]))
    subjects = f"All {len(verified)} are what their definitions say" if len(verified) > 1 else f"{name} is as defined"
    return [
        f"{subjects}: {len(checks):,} comparisons, and the largest error is {_percent(largest.share)} of what rounding "
        f"can explain ({name}, {largest.quantity}, {largest.where})."
    ]


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


def _verdicts(verified: Sequence[Verified]) -> FindingTable:
    lines = [(one, precision) for one in verified for precision in ROUNDING]
    return FindingTable(
        title="Largest errors",
        columns=COLUMNS,
        rows=tuple(_row(*line) for line in lines),
        strong=tuple(place for place, (one, precision) in enumerate(lines) if not _passed(one, precision)),
        note=(
            "Largest errors of y, dL/dx, dL/dp of each parameter p, and running statistics, each relative to the "
            "magnitude of the terms that it is made of, value by value. A bound is (3 m + 20) u, with m the values in "
            "the longest sum and u the rounding of the precision: what rounding explains in the worst case; finite "
            "differences, of norms of your own, add their uncertainty. Used: the largest share of its bound that an "
            "error takes, and that bound. "
            f"+ws: 3x3 convolution with standardized weights; dropout: p = {DROPOUT}."
        ),
    )


def _row(one: Verified, precision: Precision) -> tuple[str, ...]:
    largest = worst(one.of(precision))
    return (
        label(one.name),
        precision.removeprefix("float"),
        *(_most([check.error for check in one.of(precision, quantity)]) for quantity in QUANTITIES),
        f"{largest.bound:.0e}" if largest else "-",
        _percent(largest.share) if largest else "-",
        "ok" if _passed(one, precision) else "FAILS",
    )


def label(name: str) -> str:
    """A norm's name as tables have room for: of one of the user's own that of its factory."""
    return name.rpartition(":")[2]


def _percent(share: float) -> str:
    if np.isnan(share):
        return "nan"
    return f"{100 * share:.2g} %" if share < 10 else f"{share:.0e}×"


def _passed(one: Verified, precision: Precision) -> bool:
    return not one.problems and all(check.passed for check in one.of(precision))


def _failures(failed: Sequence[Verified]) -> FindingTable:
    rows: list[tuple[str, ...]] = []
    for one in failed:
        found = [worst(one.of(precision, quantity)) for precision in ROUNDING for quantity in QUANTITIES]
        for check in (check for check in found if check and not check.passed):
            rows.append(
                (label(one.name), SHORT[check.quantity], check.where, f"{check.error:.1e}", f"{check.bound:.1e}")
            )
    return FindingTable(
        title="Out of bounds",
        columns=("norm", "what", "input", "error", "bound"),
        rows=tuple(rows),
        note="The worst of each precision. NHWC: channels last.",
    )


def _hard_inputs(verified: Sequence[Verified]) -> FindingTable:
    """What float32 makes of each kind of input; the layout apart where it matters."""
    lines: list[tuple[str, list[Check]]] = []
    for one in verified:
        checks = one.of("float32", "forward")
        apart = (one.name, "channels last") in ONE_PASS
        lines.append((label(one.name), [check for check in checks if not apart or check.layout == "contiguous"]))
        if apart:
            lines.append((f"{one.name}, NHWC", [check for check in checks if check.layout == "channels last"]))
    return FindingTable(
        title="What float32 makes of each kind of input",
        columns=("norm", *KINDS),
        rows=tuple((label, *(_largest(checks, kind) for kind in KINDS)) for label, checks in lines),
        note=(
            "Largest error of the output, relative to its largest value; NHWC: channels last. "
            f"{'; '.join(f'{kind}: {words}' for kind, words in KINDS.items())}."
        ),
    )


def _largest(checks: Sequence[Check], kind: str) -> str:
    return _most([check.relative for check in checks if check.kind == kind])


def _most(errors: Sequence[float]) -> str:
    """The largest, where NaN is above all."""
    return f"{np.max(errors):.1e}" if errors else "-"


def _chart(verified: Sequence[Verified]) -> Chart:
    places = tuple(range(len(verified)))

    def share(one: Verified, precision: Precision) -> float | None:
        largest = worst(one.of(precision))
        return largest.share if largest and 0 < largest.share < np.inf else None  # the axis is logarithmic

    return Chart(
        name="share-of-bound",
        title="Largest error as a share of its bound, by norm",
        x_label="norm",
        y_label="error / bound",
        kind="bars",
        ticks=tuple(label(one.name) for one in verified),
        lines=tuple(
            Line(label=precision, x=places, y=tuple(share(one, precision) for one in verified))
            for precision in ROUNDING
        ),
        log_y=True,
        reference=1.0,
    )


def _values(one: Verified) -> dict[str, object]:
    found = [
        {"precision": precision, "quantity": quantity} | asdict(largest)
        for precision in ROUNDING
        for quantity in QUANTITIES
        if (largest := worst(one.of(precision, quantity)))
    ]
    return {
        "norm": one.name,
        "inputs": one.cases,
        "refused": one.refused,
        "comparisons": len(one.checks),
        "passed": one.passed,
        "problems": list(one.problems),
        "notes": list(one.notes),
        "worst": found,
    }
