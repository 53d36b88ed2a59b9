"""Result of `verify`: tables and a chart."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from normbench.analysis import Chart, Line, StudyResult, Table
from normbench.device import describe
from normbench.runs.environment import environment
from normbench.studies.verify.builtin import DROPOUT, ONE_PASS
from normbench.studies.verify.cases import HARD, KINDS
from normbench.studies.verify.checks import QUANTITIES, ROUNDING, Check, Precision, Quantity, Verified, badness, worst
from normbench.studies.verify.sentences import conclusions, label, percent, value_name
from normbench.studies.verify.study import STUDY

SHORT: dict[Quantity, str] = {
    "forward": "forward", "input gradient": "dx", "parameter gradients": "dp", "buffers": "buffers",
}  # fmt: skip
"""So that the tables fit 80 columns."""
COLUMNS = ("norm", "bit", *SHORT.values(), "bound", "used", "")
MOST_PROBLEMS = 4
"""Of each norm, in warnings."""


def verify_result(verified: Sequence[Verified], seed: int, cases: int) -> StudyResult:
    """Lay out the comparisons as a result; `cases` are the ordinary ones."""
    device = torch.device("cpu")
    defined = [one for one in verified if one.defined]
    failed = [one for one in defined if not one.passed]
    failures = _failures(failed)
    tables = [_verdicts(verified), *([failures] if failures.rows else []), _hard_inputs(defined)]
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        answer=conclusions(verified),
        conditions=(
            f"Seed {seed}; for each norm {cases} ordinary inputs, {HARD} hard ones and those of the network's layers; "
            f"forward and backward, train and eval mode, contiguous and channels last; {describe(device)}; torch "
            f"{torch.__version__}."
        ),
        tables=tuple(tables),
        charts=(_chart(verified),),
        warnings=tuple(f"{one.name}: {text}" for one in failed for text in (*one.problems[:MOST_PROBLEMS], *one.notes)),
        environment=environment(device),
        values={"passed": not failed, "norms": [_values(one) for one in verified]},
    )


def _verdicts(verified: Sequence[Verified]) -> Table:
    lines = [(one, precision) for one in verified if one.defined for precision in ROUNDING]
    undefined = tuple((label(one.name), *"-" * (len(COLUMNS) - 2), "undefined") for one in verified if not one.defined)
    return Table(
        title="Largest errors",
        columns=COLUMNS,
        rows=(*(_row(*line) for line in lines), *undefined),
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
        percent(largest.share) if largest else "-",
        "ok" if _passed(one, precision) else "FAILS",
    )


def _passed(one: Verified, precision: Precision) -> bool:
    return not one.problems and all(check.passed for check in one.of(precision))


def _failures(failed: Sequence[Verified]) -> Table:
    return Table(
        title="Out of bounds",
        columns=("norm", "value", "input", "got", "expected", "error", "bound"),
        rows=tuple(
            (
                label(one.name),
                value_name(check),
                check.where,
                f"{check.got:.6g}",
                f"{check.expected:.6g}",
                f"{check.error:.1e}",
                f"{check.bound:.1e}",
            )
            for one in failed
            for check in _worst_failures(one)
        ),
        note=(
            "The worst value of each output, gradient and buffer, in each precision; dL/dx and dL/d of a parameter are "
            "gradients. NHWC: channels last."
        ),
        sentences=True,
    )


def _worst_failures(one: Verified) -> list[Check]:
    """The worst of each array in each precision, as far as it is out of bounds."""
    failed: dict[tuple[str, str], list[Check]] = {}
    for check in one.checks:
        if not check.passed:
            failed.setdefault((check.precision, check.array), []).append(check)
    return [max(checks, key=badness) for checks in failed.values()]


def _hard_inputs(verified: Sequence[Verified]) -> Table:
    """What float32 makes of each kind of input; the layout apart where it matters."""
    lines: list[tuple[str, list[Check]]] = []
    for one in verified:
        checks = one.of("float32", "forward")
        apart = (one.name, "channels last") in ONE_PASS
        lines.append((label(one.name), [check for check in checks if not apart or check.layout == "contiguous"]))
        if apart:
            lines.append((f"{one.name}, NHWC", [check for check in checks if check.layout == "channels last"]))
    return Table(
        title="What float32 makes of each kind of input",
        columns=("norm", *KINDS),
        rows=tuple((label, *(_largest(checks, kind) for kind in KINDS)) for label, checks in lines),
        note=(
            "Largest error of the output, relative to its largest value; NHWC: channels last. "
            f"{'; '.join(f'{kind}: {words}' for kind, words in KINDS.items())}."
        ),
    )


def _largest(checks: Sequence[Check], kind: str) -> str:
    return _most([check.relative for check in checks if check.kind == kind], digits=0)


def _most(errors: Sequence[float], digits: int = 1) -> str:
    """The largest, where NaN is above all."""
    return f"{np.max(errors):.{digits}e}" if errors else "-"


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
        {key: _number(value) for key, value in asdict(largest).items()}
        for precision in ROUNDING
        for quantity in QUANTITIES
        if (largest := worst(one.of(precision, quantity)))
    ]
    return {
        "norm": one.name,
        "inputs": one.cases,
        "refused": one.refused,
        "comparisons": len(one.checks),
        "passed": one.passed if one.defined else None,
        "verdict": one.verdict,
        "problems": list(one.problems),
        "notes": list(one.notes),
        "not_compared": list(one.not_compared),
        "not_built": list(one.not_built),
        "failures": [_failure(check) for check in _worst_failures(one)],
        "worst": found,
    }


def _failure(check: Check) -> dict[str, object]:
    """One of the values that are out of bounds, for programs."""
    figures: dict[str, object] = {key: _number(getattr(check, key)) for key in ("got", "expected", "error", "bound")}
    return {
        "array": check.array,
        "quantity": check.quantity,
        "index": list(check.index),
        "input": check.where,
        "kind": check.kind,
        "precision": check.precision,
        "layout": check.layout,
    } | figures


def _number(value: object) -> object:
    """A value as JSON can hold it, which knows no NaN and no infinity."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
