"""Summary of a network with one norm: its size, the share of the norm, and the budget."""

from dataclasses import dataclass
from typing import Literal

import torch

from normbench.config import RunConfig
from normbench.config.settings import is_custom_network
from normbench.errors import OverBudgetError
from normbench.model_summary.layers import LayerRow, layer_rows
from normbench.networks import IMAGE_SHAPE, build_for, count_parameters
from normbench.norms import Norm

Reach = Literal["never", "training", "always", "unknown"]


@dataclass(frozen=True)
class ModelSummary:
    """Layers of a network with one norm, and its size against the budget."""

    network: str
    norm: str
    rows: tuple[LayerRow, ...]
    parameters: int
    macs: int
    norm_parameters: int
    norm_buffers: int
    global_dependency: Reach
    """Modes in which the norm makes an output depend on pixels outside its receptive field."""
    budget: int

    @property
    def over_budget(self) -> int:
        """Parameters in excess of the budget (fewer than `budget`); 0 within it."""
        return max(0, self.parameters - (self.budget - 1))


def model_summary(config: RunConfig) -> ModelSummary:
    """Summarize the network of a run; trains nothing, refuses no size and moves no random state."""
    norm = Norm.parse(config.norm, config.groups)
    network = build_for(config, norm=norm)
    rows = layer_rows(network, is_custom=is_custom_network(config.network.name))
    norms = [row for row in rows if row.is_norm]
    return ModelSummary(
        network=config.network.name,
        norm=norm.name,
        rows=tuple(rows),
        parameters=count_parameters(network),
        macs=sum(row.macs for row in rows),
        norm_parameters=sum(row.parameters for row in norms),
        norm_buffers=sum(row.buffers for row in norms),
        global_dependency=_reach(norm),
        budget=config.max_params,
    )


def budget_error(summary: ModelSummary) -> OverBudgetError:
    """Build the error for a network over its budget: count, excess, cause and the flag that allows it."""
    why = ""
    if summary.norm.startswith("ln-chw"):
        why = (
            f" The norm layers alone have {summary.norm_parameters:,}: torch's LayerNorm([C, H, W]) learns a gamma and "
            "a beta for every channel and position. --norm ln (GroupNorm with one group) takes the same mean and "
            "variance with one pair per channel."
        )
    return OverBudgetError(
        f"{summary.network} with {summary.norm} has {summary.parameters:,} parameters, {summary.over_budget:,} over "
        f"the budget of fewer than {summary.budget:,}",
        f"Allow it with --max-params {summary.parameters + 1}; `normbench summary` shows where they are.{why}",
    )


def _reach(norm: Norm) -> Reach:
    if norm.info.axes is None:
        return "unknown"
    global_ = [axes for _, axes in norm.info.statistics if axes.positions]
    if not global_:
        return "never"
    of_batch = all(axes.images for axes in global_)
    return "training" if of_batch and norm.info.train_eval_differ else "always"


def torchinfo_tree(config: RunConfig) -> str:
    """Return torchinfo's tree of the modules of a run's network, 80 columns wide.

    Called with `input_data` in eval mode, since otherwise it draws random numbers or changes buffers of BatchNorm.
    """
    import torchinfo

    network = build_for(config)
    blank = torch.zeros(1, *IMAGE_SHAPE)
    columns = ("output_size", "num_params")  # a third column makes the table wider than 80
    summary = torchinfo.summary(
        network, input_data=blank, mode="eval", col_names=columns, col_width=20, depth=3, verbose=0
    )
    return str(summary)
