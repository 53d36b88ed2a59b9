"""The tables and charts of the study of depth."""

from collections.abc import Mapping, Sequence

from normbench.analysis import Chart, Estimate, Line, Table, estimate
from normbench.analysis.format import percent
from normbench.networks.stacks import Kind
from normbench.studies.depth.measure import CONV_WIDTH, SIDE, Depth, Measured
from normbench.studies.depth.sentences import rounded

WORTH_DRAWING = 0.05
"""Where no layer has this share of dead units, the chart of them would show noise."""
EXPLANATION = (
    "out: mean L2 norm of an output layer put after so many hidden layers. grad: L2 norm of the loss's gradient by "
    "the weights of the first and the last hidden layer. After the last: dead, units whose activation is flat for "
    "the whole batch; flat, values where it is (slope below 0.06; tanh: |y| > 0.97); alike, cosine between the results "
    "for two different inputs."
)


def depth_tables(depth: Depth, by_kind: Mapping[Kind, Sequence[Measured]]) -> tuple[Table, ...]:
    """Signal and gradient, then test accuracy, of each kind of stack; what columns mean is said once."""
    tables: list[Table] = []
    for kind, measured in by_kind.items():
        tables += _tables(depth, kind, measured, explained=bool(tables))
    return tuple(tables)


def depth_charts(depth: Depth, by_kind: Mapping[Kind, Sequence[Measured]]) -> tuple[Chart, ...]:
    """Output, gradient, dead units, cosine_similarity and accuracy by depth, of each kind of stack."""
    return tuple(chart for kind, measured in by_kind.items() for chart in _charts(depth, kind, measured))


def accuracy(one: Measured, depth: int) -> Estimate | None:
    """Test accuracy over seeds; None where every rate diverged on one of them."""
    found = [trained.test_accuracy for trained in one.trained[depth] if trained is not None]
    return estimate(found) if len(found) == len(one.trained[depth]) else None


def stack_words(depth: Depth, kind: Kind) -> str:
    """A kind of stack in words."""
    if kind == "mlp":
        return f"MLP of {depth.config.width} units a layer"
    return f"stack of 3x3 convolutions ({CONV_WIDTH} channels, {SIDE}x{SIDE} positions)"


def _tables(depth: Depth, kind: Kind, measured: Sequence[Measured], explained: bool) -> list[Table]:
    last = depth.config.depth
    some = sorted({1, min(10, last), last})
    columns = (
        "norm", *(f"out {place}" for place in some), "grad 1", f"grad {last}", "dead", "flat", "alike",
    )  # fmt: skip
    signal = Table(
        title=f"{kind}: signal and gradient before training, {stack_words(depth, kind)}",
        columns=columns,
        rows=tuple(_signal_cells(one, some) for one in measured),
        note="" if explained else EXPLANATION,
    )
    if depth.data is None:
        return [signal]
    trained = Table(
        title=f"{kind}: test accuracy on {depth.data.name} by depth, in percent",
        columns=("norm", *(f"depth {place}" for place in depth.config.depths)),
        rows=tuple(
            (one.variant.label, *(_accuracy_cell(one, place) for place in depth.config.depths)) for one in measured
        ),
        note="" if explained else "In brackets the learning rate that the validation images chose. Chance is 10 %.",
    )
    return [signal, trained]


def _signal_cells(one: Measured, places: Sequence[int]) -> tuple[str, ...]:
    signal = one.signal
    return (
        one.variant.label,
        *(rounded(signal.output_norms[place]) for place in places),
        rounded(signal.gradient_norms[0]),
        rounded(signal.gradient_norms[-1]),
        f"{signal.dead[-1]:.0%}".replace("%", " %"),
        f"{signal.saturated[-1]:.0%}".replace("%", " %"),
        f"{signal.cosine_similarity[-1]:.2f}",
    )


def _accuracy_cell(one: Measured, depth: int) -> str:
    runs = [trained for trained in one.trained[depth] if trained is not None]
    found = one.trained[depth]
    if len(runs) < len(found):
        return f"{len(found) - len(runs)} of {len(found)} diverged" if len(found) > 1 else "diverged"
    lrs = "/".join(f"{lr:g}" for lr in dict.fromkeys(trained.lr for trained in runs))
    return f"{percent(accuracy(one, depth)).removesuffix(' %')} ({lrs})"


def _charts(depth: Depth, kind: Kind, measured: Sequence[Measured]) -> list[Chart]:
    layers, places = range(1, depth.config.depth + 1), range(depth.config.depth + 1)
    words = stack_words(depth, kind)
    charts = [
        Chart(
            name=f"{kind}-activation", title=f"{kind}: norm of the output by depth, {words}", x_label="hidden layers",
            y_label="L2 norm", log_y=True, lines=_lines(measured, "output_norms", places),
        ),
        Chart(
            name=f"{kind}-gradient", title=f"{kind}: norm of the gradient of each layer's weights", x_label="layer",
            y_label="L2 norm", log_y=True, lines=_lines(measured, "gradient_norms", layers),
        ),
        Chart(
            name=f"{kind}-dead", title=f"{kind}: units that are dead for the whole batch", x_label="layer",
            y_label="share of units", percent=True, lines=_lines(measured, "dead", layers),
        ),
        Chart(
            name=f"{kind}-alike", title=f"{kind}: cosine similarity of the results of different inputs",
            x_label="layer",
            y_label="cosine", lines=_lines(measured, "cosine_similarity", layers),
        ),
    ]  # fmt: skip
    if not any(max(one.signal.dead) >= WORTH_DRAWING for one in measured):
        charts = [chart for chart in charts if not chart.name.endswith("dead")]
    if depth.data is not None:
        charts.append(
            Chart(
                name=f"{kind}-accuracy", title=f"{kind}: test accuracy on {depth.data.name} after a short training",
                x_label="hidden layers", y_label="test accuracy", percent=True, reference=0.1,
                lines=tuple(_accuracy_line(one, depth.config.depths) for one in measured),
            )
        )  # fmt: skip
    return charts


def _lines(measured: Sequence[Measured], name: str, places: range) -> tuple[Line, ...]:
    return tuple(
        Line(label=one.variant.label, group=one.variant.norm.name, x=tuple(places), y=getattr(one.signal, name))
        for one in measured
    )


def _accuracy_line(one: Measured, depths: Sequence[int]) -> Line:
    found = [accuracy(one, depth) for depth in depths]
    several = all(estimated and estimated.high is not None for estimated in found)
    return Line(
        label=one.variant.label,
        group=one.variant.norm.name,
        x=tuple(depths),
        y=tuple(estimated and estimated.mean for estimated in found),
        low=tuple(estimated and estimated.low for estimated in found) if several else None,
        high=tuple(estimated and estimated.high for estimated in found) if several else None,
    )
