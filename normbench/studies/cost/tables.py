"""Result of `cost`: tables and charts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from normbench.analysis import Chart, Line, StudyResult, Table
from normbench.config.norm_names import WEIGHT_SWITCHES
from normbench.runs.environment import environment
from normbench.studies.cost.measure import CONTROL, Cost, Measurement
from normbench.studies.cost.profiling import Spread
from normbench.studies.cost.sentences import MIB, caption, conclusions, mebibytes, percent
from normbench.studies.cost.study import STUDY


def study_result(measurement: Measurement) -> StudyResult:
    """Lay out a measurement as tables, charts and conclusions."""
    costs = measurement.costs
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        conclusions=conclusions(measurement),
        caption=caption(measurement),
        tables=_tables(costs),
        charts=_charts(costs),
        environment=environment(measurement.device),
        values={cost.norm: asdict(cost) | {"share": cost.share, "train_eval_differ": cost.differs} for cost in costs},
    )


def _tables(costs: Sequence[Cost]) -> tuple[Table, ...]:
    on_cuda = any(cost.step_peak is not None for cost in costs)
    hidden = [cost.norm for cost in costs if cost.norm.endswith(WEIGHT_SWITCHES)]
    return (
        Table(
            title="One training step",
            columns=("norm", "step, ms", f"ratio to {CONTROL}", "share of the norm layers"),
            rows=tuple((c.norm, _spread(c.step, 1000), _spread(c.ratio), percent(c.share)) for c in costs),
            note="ratio: to the step of `none` in the same round. share: time of the norm layers alone, forward and "
            "backward, divided by that of the step."
            + (f" {', '.join(hidden)}: the work on weights is in the step, not in the share." if hidden else ""),
        ),
        Table(
            title="All norm layers of the network alone, one batch",
            columns=("norm", "forward, ms", "backward, ms", "forward in eval mode, ms"),
            rows=tuple(
                (c.norm, *(_spread(part, 1000) for part in (c.forward, c.backward, c.evaluate))) for c in costs
            ),
        ),
        Table(
            title="Memory kept for the backward pass, and size",
            columns=(
                "norm", "layers, MiB", "step, MiB", *(["peak, MiB"] if on_cuda else []), "parameters",
                "buffers", "train - eval", "layout",
            ),
            rows=tuple(_memory_cells(cost, on_cuda) for cost in costs),
            note="MiB: kept from the forward for the backward pass, by the norm layers and by the whole network; "
            "parameters, buffers: numbers in the norm layers. train - eval: largest difference between the outputs of "
            "both modes on one batch, after one step, relative to the largest output. layout: `kept` if outputs have "
            "the memory layout of inputs; if it is changed, later convolutions run in another format.",
        ),
    )  # fmt: skip


def _memory_cells(cost: Cost, on_cuda: bool) -> tuple[str, ...]:
    peak = [] if not on_cuda else [mebibytes(cost.step_peak)]
    difference = f"{cost.train_eval_difference:.2g}" if cost.differs else "same"
    size = (f"{cost.parameters:,}", f"{cost.buffers:,}")
    layout = "kept" if cost.keeps_layout else "changed"
    return (cost.norm, mebibytes(cost.layers_saved), mebibytes(cost.step_saved), *peak, *size, difference, layout)


def _charts(costs: Sequence[Cost]) -> tuple[Chart, ...]:
    ticks, positions = tuple(cost.norm for cost in costs), tuple(range(len(costs)))

    def line(label: str, value: Callable[[Cost], float]) -> Line:
        return Line(label=label, x=positions, y=tuple(map(value, costs)))

    ratio = Line(
        label="step", x=positions, y=tuple(cost.ratio.median for cost in costs),
        low=tuple(cost.ratio.low for cost in costs), high=tuple(cost.ratio.high for cost in costs),
    )  # fmt: skip
    return (
        Chart(
            name="step", title="Time of a training step, relative to that without a norm", x_label="norm",
            y_label=f"step time, ratio to {CONTROL}", kind="bars", ticks=ticks, reference=1.0, lines=(ratio,),
        ),
        Chart(
            name="share", title="Share of the norm layers in a training step", x_label="norm",
            y_label="share of the step", kind="bars", ticks=ticks, percent=True,
            lines=(
                line("forward", lambda cost: cost.forward.median / cost.step.median),
                line("backward", lambda cost: cost.backward.median / cost.step.median),
            ),
        ),
        Chart(
            name="memory", title="Memory that a step keeps for its backward pass", x_label="norm", y_label="MiB",
            kind="bars", ticks=ticks, lines=(line("saved", lambda cost: cost.step_saved / MIB),),
        ),
    )  # fmt: skip


def _spread(value: Spread, factor: float = 1.0) -> str:
    low, middle, high = (f"{factor * figure:.3g}" for figure in (value.low, value.median, value.high))
    return f"{middle} [{low}, {high}]"
