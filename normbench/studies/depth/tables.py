"""Result of `depth`: tables and charts."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, estimate
from normbench.analysis.format import percent
from normbench.networks.stacks import Kind
from normbench.runs.environment import environment
from normbench.studies.depth.measure import CONTROL, CONV_WIDTH, KINDS, SIDE, Measurement, VariantResult
from normbench.studies.depth.sentences import CHANCE, caption, conclusions, rounded
from normbench.studies.depth.study import STUDY

WORTH_DRAWING = 0.05
"""Smallest share of dead units in any layer that gets a chart; below it there is only noise to see."""
COLUMNS_NOTE = (
    "out: mean L2 norm of an output layer put after so many hidden layers. grad: L2 norm of the gradient of the loss "
    "by the weights of the first and the last hidden layer. After the last: dead, units whose activation is saturated "
    "for the whole batch; saturated, values at which it is (derivative below 0.06; tanh: |y| > 0.97); cosine, mean "
    "cosine similarity of the outputs for two different inputs."
)
RATES_NOTE = "In brackets the learning rate that the validation images chose. Chance is 10 %."


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, charts and conclusions."""
    tables: list[Table] = []
    charts: list[Chart] = []
    for kind, results in measurement.by_kind.items():
        tables += _tables(measurement, kind, results, with_notes=not tables)
        charts += _charts(measurement, kind, results)
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=tuple(tables),
        charts=tuple(charts),
        warnings=measurement.left_out,
        environment=environment(measurement.device),
        values=_values(measurement),
    )


def _values(measurement: Measurement) -> dict[str, Any]:
    """Figures by kind of stack, then by norm and position: `values["mlp"]["bn pre"]`."""
    values: dict[str, Any] = {kind: {} for kind in KINDS}
    for result in measurement.results:
        trained = {
            str(depth): [stack and asdict(stack) for stack in stacks] for depth, stacks in result.trained.items()
        }
        values[result.variant.kind][result.variant.label] = {**asdict(result.signal), "trained": trained}
    return {"config": measurement.settings.values(), "control": CONTROL, **values}


def _accuracy(result: VariantResult, depth: int) -> Estimate | None:
    """Test accuracy over seeds; None if every rate diverged on one of them."""
    accuracies = [stack.test_accuracy for stack in result.trained[depth] if stack is not None]
    return estimate(accuracies) if len(accuracies) == len(result.trained[depth]) else None


def _stack_title(measurement: Measurement, kind: Kind) -> str:
    if kind == "mlp":
        return f"MLP of {measurement.settings.width} units per layer"
    return f"stack of 3x3 convolutions ({CONV_WIDTH} channels, {SIDE}x{SIDE} positions)"


def _tables(measurement: Measurement, kind: Kind, results: Sequence[VariantResult], with_notes: bool) -> list[Table]:
    last, trained_depths = measurement.settings.depth, measurement.settings.depths
    shown = sorted({1, min(10, last), last})
    columns = (
        "norm", *(f"out {depth}" for depth in shown), "grad 1", f"grad {last}", "dead", "saturated", "cosine",
    )  # fmt: skip
    signal = Table(
        title=f"{kind}: signal and gradient before training, {_stack_title(measurement, kind)}",
        columns=columns,
        rows=tuple(_signal_cells(result, shown) for result in results),
        note=COLUMNS_NOTE if with_notes else "",
    )
    if measurement.data is None:
        return [signal]
    accuracies = Table(
        title=f"{kind}: test accuracy on {measurement.data.name} by depth, in percent",
        columns=("norm", *(f"depth {depth}" for depth in trained_depths)),
        rows=tuple(
            (result.variant.label, *(_accuracy_cell(result, depth) for depth in trained_depths)) for result in results
        ),
        note=RATES_NOTE if with_notes else "",
    )
    return [signal, accuracies]


def _signal_cells(result: VariantResult, depths: Sequence[int]) -> tuple[str, ...]:
    signal = result.signal
    return (
        result.variant.label,
        *(rounded(signal.output_norms[depth]) for depth in depths),
        rounded(signal.gradient_norms[0]),
        rounded(signal.gradient_norms[-1]),
        f"{signal.dead[-1]:.0%}".replace("%", " %"),
        f"{signal.saturated[-1]:.0%}".replace("%", " %"),
        f"{signal.cosine_similarity[-1]:.2f}",
    )


def _accuracy_cell(result: VariantResult, depth: int) -> str:
    stacks = result.trained[depth]
    trained = [stack for stack in stacks if stack is not None]
    if len(trained) < len(stacks):
        return f"{len(stacks) - len(trained)} of {len(stacks)} diverged" if len(stacks) > 1 else "diverged"
    lrs = "/".join(f"{lr:g}" for lr in dict.fromkeys(stack.lr for stack in trained))
    return f"{percent(_accuracy(result, depth)).removesuffix(' %')} ({lrs})"


def _charts(measurement: Measurement, kind: Kind, results: Sequence[VariantResult]) -> list[Chart]:
    settings, data = measurement.settings, measurement.data
    layers, depths = range(1, settings.depth + 1), range(settings.depth + 1)
    charts = [
        Chart(
            name=f"{kind}-activation", title=f"{kind}: norm of the output by depth, {_stack_title(measurement, kind)}",
            x_label="hidden layers", y_label="L2 norm", log_y=True, lines=_lines(results, "output_norms", depths),
        ),
        Chart(
            name=f"{kind}-gradient", title=f"{kind}: norm of the gradient of each layer's weights", x_label="layer",
            y_label="L2 norm", log_y=True, lines=_lines(results, "gradient_norms", layers),
        ),
    ]  # fmt: skip
    if any(max(result.signal.dead) >= WORTH_DRAWING for result in results):
        charts.append(
            Chart(
                name=f"{kind}-dead", title=f"{kind}: units that are dead for the whole batch", x_label="layer",
                y_label="share of units", percent=True, lines=_lines(results, "dead", layers),
            )
        )  # fmt: skip
    charts.append(
        Chart(
            name=f"{kind}-cosine", title=f"{kind}: cosine similarity of the outputs for different inputs",
            x_label="layer", y_label="cosine", lines=_lines(results, "cosine_similarity", layers),
        )
    )  # fmt: skip
    if data is not None:
        charts.append(
            Chart(
                name=f"{kind}-accuracy", title=f"{kind}: test accuracy on {data.name} after a short training",
                x_label="hidden layers", y_label="test accuracy", percent=True, reference=CHANCE,
                lines=tuple(_accuracy_line(result, settings.depths) for result in results),
            )
        )  # fmt: skip
    return charts


def _lines(results: Sequence[VariantResult], figure: str, xs: range) -> tuple[Line, ...]:
    return tuple(
        Line(label=result.variant.label, group=result.variant.norm.name, x=tuple(xs), y=getattr(result.signal, figure))
        for result in results
    )


def _accuracy_line(result: VariantResult, depths: Sequence[int]) -> Line:
    estimates = [_accuracy(result, depth) for depth in depths]
    several = all(accuracy and accuracy.high is not None for accuracy in estimates)
    return Line(
        label=result.variant.label,
        group=result.variant.norm.name,
        x=tuple(depths),
        y=tuple(accuracy and accuracy.mean for accuracy in estimates),
        low=tuple(accuracy and accuracy.low for accuracy in estimates) if several else None,
        high=tuple(accuracy and accuracy.high for accuracy in estimates) if several else None,
    )
