"""Result of `cost`: tables and charts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import torch

from normbench.analysis import Chart, Line, StudyResult, Table
from normbench.config import RunConfig
from normbench.config.norm_names import WEIGHT_STANDARDIZATION
from normbench.device import describe
from normbench.runs.environment import environment
from normbench.studies.cost.clock import Spread
from normbench.studies.cost.measure import CONTROL, Cost
from normbench.studies.cost.sentences import MIB, conclusions, mebibytes, percent
from normbench.studies.cost.study import STUDY


def cost_result(costs: Sequence[Cost], config: RunConfig, device: torch.device, repeats: int) -> StudyResult:
    """Lay out the measurements as a result; `config` is the run of any of the norms."""
    return StudyResult(
        study=STUDY.name,
        title=STUDY.question,
        answer=conclusions(costs),
        conditions=_caption(config, device, repeats),
        tables=_tables(costs),
        charts=_charts(costs),
        environment=environment(device),
        values={cost.norm: _values(cost) for cost in costs},
    )


def _caption(config: RunConfig, device: torch.device, repeats: int) -> str:
    training = config.training
    return (
        f"Network {config.network.name} at the shapes of its {training.batch_size} images of 3x32x32 a step, noise; "
        f"{config.network.activation}; precision {training.precision}; {repeats} rounds after a warm-up, the norms "
        f"taking turns; median [quartiles]; {describe(device)}; torch {torch.__version__}."
    )


def _tables(costs: Sequence[Cost]) -> tuple[Table, ...]:
    on_cuda = any(cost.step_peak is not None for cost in costs)
    hidden = [cost.norm for cost in costs if cost.norm.endswith(WEIGHT_STANDARDIZATION)]
    return (
        Table(
            title="One training step",
            columns=("norm", "step, ms", f"ratio to {CONTROL}", "share of the norm layers"),
            rows=tuple((c.norm, _spread(c.step, 1000), _spread(c.ratio), percent(c.share)) for c in costs),
            note="ratio: of steps in the same round. share: the norm layers' forward and backward time, taken alone, "
            "by the step's time."
            + (f" {', '.join(hidden)}: weight standardization is in the step, not in the share." if hidden else ""),
        ),
        Table(
            title="The norm layers alone: all of the network, one batch",
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
            "both modes on one batch, after one step, by the largest output. layout: whether outputs lie in memory as "
            "inputs do; a changed one makes the convolutions that follow run in another format.",
        ),
    )  # fmt: skip


def _memory_cells(cost: Cost, on_cuda: bool) -> tuple[str, ...]:
    peak = [] if not on_cuda else [mebibytes(cost.step_peak)]
    difference = f"{cost.train_eval_difference:.2g}" if cost.differs else "same"
    size = (f"{cost.parameters:,}", f"{cost.buffers:,}")
    layout = "kept" if cost.keeps_layout else "changed"
    return (cost.norm, mebibytes(cost.layers_saved), mebibytes(cost.step_saved), *peak, *size, difference, layout)


def _charts(costs: Sequence[Cost]) -> tuple[Chart, ...]:
    ticks, places = tuple(cost.norm for cost in costs), tuple(range(len(costs)))

    def line(label: str, figure: Callable[[Cost], float]) -> Line:
        return Line(label=label, x=places, y=tuple(map(figure, costs)))

    ratio = Line(
        label="step", x=places, y=tuple(cost.ratio.median for cost in costs),
        low=tuple(cost.ratio.low for cost in costs), high=tuple(cost.ratio.high for cost in costs),
    )  # fmt: skip
    return (
        Chart(
            name="step", title="A training step, by that without a norm", x_label="norm",
            y_label=f"step time, ratio to {CONTROL}", kind="bars", ticks=ticks, reference=1.0, lines=(ratio,),
        ),
        Chart(
            name="share", title="What the norm layers take of a training step", x_label="norm",
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


def _values(cost: Cost) -> dict[str, Any]:
    return asdict(cost) | {"share": cost.share, "train_eval_differ": cost.differs}


def _spread(value: Spread, factor: float = 1.0) -> str:
    low, middle, high = (f"{factor * one:.3g}" for one in (value.low, value.median, value.high))
    return f"{middle} [{low}, {high}]"
