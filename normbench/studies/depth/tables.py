"""Result of `depth`: tables, charts and the caption."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from normbench.analysis import Chart, Estimate, Line, StudyResult, Table, estimate
from normbench.analysis.format import percent
from normbench.device import describe
from normbench.networks.stacks import Kind
from normbench.runs.environment import environment
from normbench.studies.depth.measure import CONTROL, CONV_WIDTH, KINDS, SIDE, TRAINED_WIDTH, Depth, Measured
from normbench.studies.depth.sentences import conclusions, rounded
from normbench.studies.depth.signal import BATCH
from normbench.studies.depth.study import STUDY

WORTH_DRAWING = 0.05
"""Where no layer has this share of dead units, the chart of them would show noise."""
EXPLANATION = (
    "out: mean L2 norm of an output layer put after so many hidden layers. grad: L2 norm of the loss's gradient by "
    "the weights of the first and the last hidden layer. After the last: dead, units whose activation is flat for "
    "the whole batch; flat, values where it is (slope below 0.06; tanh: |y| > 0.97); alike, cosine between the results "
    "for two different inputs."
)


def depth_result(depth: Depth, device: torch.device) -> StudyResult:
    """Lay out the measurements as a result."""
    kinds = [kind for kind in KINDS if any(one.variant.kind == kind for one in depth.measured)]
    by_kind = {kind: [one for one in depth.measured if one.variant.kind == kind] for kind in kinds}
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        answer=conclusions(depth, by_kind),
        conditions=_caption(depth, device),
        tables=_all_tables(depth, by_kind),
        charts=_all_charts(depth, by_kind),
        warnings=depth.left_out,
        environment=environment(device),
        values=_values(depth),
    )


def _values(depth: Depth) -> dict[str, Any]:
    """By kind and then by norm and place, as `values["mlp"]["bn pre"]`."""
    found: dict[str, Any] = {kind: {} for kind in KINDS}
    for one in depth.measured:
        trained = {str(place): [run and asdict(run) for run in runs] for place, runs in one.trained.items()}
        found[one.variant.kind][one.variant.label] = {**asdict(one.signal), "trained": trained}
    return {"config": depth.config.values(), "control": CONTROL, **found}


def _caption(depth: Depth, device: torch.device) -> str:
    config, data = depth.config, depth.data
    seeds = (
        f"seed {config.seed}" if config.seeds == 1 else f"{config.seeds} seeds ({config.seed}-{config.all_seeds[-1]})"
    )
    parts = [
        f"{config.activation}, weights drawn as `{config.init}` does, no shortcut, and no bias "
        "but the norm's (with `none` and `lrn`: that of the weights)",
        f"signal and gradient: N(0, 1) noise, batch {BATCH}, train mode, before any training",
    ]
    if data is not None:
        parts.append(
            f"training: {data.name} ({len(data.train):,} train, {len(data.validation or ()):,} validation and "
            f"{len(data.test):,} test images), {_epochs(config.epochs)}, batch {config.batch_size}, SGD with momentum "
            f"0.9, learning rate the best of {', '.join(f'{lr:g}' for lr in config.lrs)} by validation accuracy, "
            f"widths {TRAINED_WIDTH['mlp']} (mlp) and {TRAINED_WIDTH['conv']} (conv)"
        )
    return "; ".join([*parts, seeds, describe(device), f"torch {torch.__version__}"]) + "."


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _all_tables(depth: Depth, by_kind: Mapping[Kind, Sequence[Measured]]) -> tuple[Table, ...]:
    """Signal and gradient, then test accuracy, of each kind of stack; what columns mean is said once."""
    tables: list[Table] = []
    for kind, measured in by_kind.items():
        tables += _tables(depth, kind, measured, explained=bool(tables))
    return tuple(tables)


def _all_charts(depth: Depth, by_kind: Mapping[Kind, Sequence[Measured]]) -> tuple[Chart, ...]:
    """Output, gradient, dead units, cosine similarity and accuracy by depth, of each kind of stack."""
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
