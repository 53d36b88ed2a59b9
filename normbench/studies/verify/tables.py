"""Result of `verify`: tables and chart."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from normbench.analysis import Chart, Line, StudyResult, Table
from normbench.runs.environment import environment
from normbench.studies.verify.builtin import DROPOUT, ONE_PASS
from normbench.studies.verify.cases import KINDS
from normbench.studies.verify.checks import (
    QUANTITIES,
    ROUNDING,
    Check,
    Precision,
    Quantity,
    Verification,
    severity,
    worst,
)
from normbench.studies.verify.measure import Measurement
from normbench.studies.verify.sentences import caption, conclusions, label, percent, value_name
from normbench.studies.verify.study import STUDY

SHORT: dict[Quantity, str] = {
    "forward": "forward", "input gradient": "dx", "parameter gradients": "dp", "buffers": "buffers",
}  # fmt: skip
"""Column names that keep the tables within 80 columns."""
COLUMNS = ("norm", "bit", *SHORT.values(), "bound", "used", "")
MOST_PROBLEMS = 4
"""Largest number of problems per norm in warnings."""


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, chart and conclusions."""
    verifications, defined = measurement.verifications, measurement.defined
    failed = [verification for verification in defined if not verification.passed]
    failures = _failures(failed)
    warnings = [
        f"{verification.name}: {text}"
        for verification in failed
        for text in (*verification.problems[:MOST_PROBLEMS], *verification.notes)
    ]
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=(_largest_errors(verifications), *([failures] if failures.rows else []), _hard_inputs(defined)),
        charts=(_chart(verifications),),
        warnings=tuple(warnings),
        environment=environment(torch.device("cpu")),
        values={"passed": not failed, "norms": [_values(verification) for verification in verifications]},
    )


def _largest_errors(verifications: Sequence[Verification]) -> Table:
    defined = [verification for verification in verifications if verification.defined]
    lines = [(verification, precision) for verification in defined for precision in ROUNDING]
    undefined = tuple(
        (label(verification.name), *"-" * (len(COLUMNS) - 2), "undefined")
        for verification in verifications
        if not verification.defined
    )
    return Table(
        title="Largest errors",
        columns=COLUMNS,
        rows=(*(_row(*line) for line in lines), *undefined),
        strong=tuple(index for index, line in enumerate(lines) if not _passed(*line)),
        note=(
            "Largest errors of y, dL/dx, dL/dp of each parameter p, and running statistics, each relative to the "
            "magnitude of the terms that it is made of, value by value. A bound is (3 m + 20) u, with m the number of "
            "values in the longest sum and u the unit roundoff: the worst case of rounding; for custom norms, finite "
            "differences add their uncertainty. used: largest ratio of an error to its bound, and that bound. "
            "+ws, +wn, +cwn: 3x3 convolution with standardized, normalized and centered normalized weights; "
            f"dropout: p = {DROPOUT}."
        ),
    )


def _row(verification: Verification, precision: Precision) -> tuple[str, ...]:
    largest = worst(verification.of(precision))
    return (
        label(verification.name),
        precision.removeprefix("float"),
        *(_most([check.error for check in verification.of(precision, quantity)]) for quantity in QUANTITIES),
        f"{largest.bound:.0e}" if largest else "-",
        percent(largest.share) if largest else "-",
        "ok" if _passed(verification, precision) else "FAILS",
    )


def _passed(verification: Verification, precision: Precision) -> bool:
    return not verification.problems and all(check.passed for check in verification.of(precision))


def _failures(failed: Sequence[Verification]) -> Table:
    return Table(
        title="Out of bounds",
        columns=("norm", "value", "input", "got", "expected", "error", "bound"),
        rows=tuple(
            (
                label(verification.name),
                value_name(check),
                check.where,
                f"{check.got:.6g}",
                f"{check.expected:.6g}",
                f"{check.error:.1e}",
                f"{check.bound:.1e}",
            )
            for verification in failed
            for check in _worst_failures(verification)
        ),
        note=(
            "The worst value of each output, gradient and buffer, in each precision; dL/dx and dL/d of a parameter are "
            "gradients. NHWC: channels last."
        ),
        sentences=True,
    )


def _worst_failures(verification: Verification) -> list[Check]:
    """Find the worst failure of each array in each precision."""
    failed: dict[tuple[str, str], list[Check]] = {}
    for check in verification.checks:
        if not check.passed:
            failed.setdefault((check.precision, check.array), []).append(check)
    return [max(checks, key=severity) for checks in failed.values()]


def _hard_inputs(defined: Sequence[Verification]) -> Table:
    """Errors in float32 by kind of input, with a separate row for channels last if it makes a difference."""
    lines: list[tuple[str, list[Check]]] = []
    for verification in defined:
        checks = verification.of("float32", "forward")
        if (verification.name, "channels last") in ONE_PASS:
            by_layout = {
                layout: [c for c in checks if c.layout == layout] for layout in ("contiguous", "channels last")
            }
            lines.append((verification.name, by_layout["contiguous"]))
            lines.append((f"{verification.name}, NHWC", by_layout["channels last"]))
        else:
            lines.append((label(verification.name), checks))
    return Table(
        title="Errors in float32 by kind of input",
        columns=("norm", *KINDS),
        rows=tuple(
            (name, *(_most([check.relative for check in checks if check.kind == kind], digits=0) for kind in KINDS))
            for name, checks in lines
        ),
        note=(
            "Largest error of the output, relative to its largest value; NHWC: channels last. "
            f"{'; '.join(f'{kind}: {meaning}' for kind, meaning in KINDS.items())}."
        ),
    )


def _most(errors: Sequence[float], digits: int = 1) -> str:
    """Format the largest; NaN exceeds all."""
    return f"{np.max(errors):.{digits}e}" if errors else "-"


def _chart(verifications: Sequence[Verification]) -> Chart:
    indices = tuple(range(len(verifications)))

    def share(verification: Verification, precision: Precision) -> float | None:
        largest = worst(verification.of(precision))
        return largest.share if largest and 0 < largest.share < np.inf else None  # the axis is logarithmic

    return Chart(
        name="share-of-bound",
        title="Largest error as a share of its bound, by norm",
        x_label="norm",
        y_label="error / bound",
        kind="bars",
        ticks=tuple(label(verification.name) for verification in verifications),
        lines=tuple(
            Line(label=precision, x=indices, y=tuple(share(verification, precision) for verification in verifications))
            for precision in ROUNDING
        ),
        log_y=True,
        reference=1.0,
    )


def _values(verification: Verification) -> dict[str, object]:
    worst_checks = [
        {key: _number(value) for key, value in asdict(largest).items()}
        for precision in ROUNDING
        for quantity in QUANTITIES
        if (largest := worst(verification.of(precision, quantity)))
    ]
    return {
        "norm": verification.name,
        "inputs": verification.cases,
        "refused": verification.refused,
        "comparisons": len(verification.checks),
        "passed": verification.passed if verification.defined else None,
        "verdict": verification.verdict,
        "problems": list(verification.problems),
        "notes": list(verification.notes),
        "not_compared": list(verification.not_compared),
        "not_built": list(verification.not_built),
        "failures": [_failure(check) for check in _worst_failures(verification)],
        "worst": worst_checks,
    }


def _failure(check: Check) -> dict[str, object]:
    """Plain data of a value that is out of bounds."""
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
    """Replace NaN and infinity, which JSON does not have, by None."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
