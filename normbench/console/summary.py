"""Output of `summary` on the terminal."""

import dataclasses
from collections.abc import Sequence
from dataclasses import replace

from rich.console import RenderableType

from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.model_summary import LayerRow, ModelSummary

REACH = {
    "training": "While training, this norm's statistics make every output depend on every pixel of the batch.",
    "always": "This norm's statistics make every output depend on every pixel, too.",
    "unknown": "The reach of a custom norm's statistics is not known.",
}
"""Extent of a norm's statistics beyond the receptive field, by `global_dependency`."""


def show_network(output: Output, summary: ModelSummary, tree: str | None = None) -> None:
    """Print one network: its layers with size and receptive field, then the budget.

    Args:
        output: Output of the command.
        summary: Layers and size of the network.
        tree: Tree of torchinfo, which stands above the table.
    """
    table = plain_table("layer", "output", "parameters", "MACs", "receptive field")
    before = None
    for row in summary.rows:
        if row.is_norm or row.parameters or row.macs or before is None or _moves(before, row):
            table.add_row(
                row.name,
                "x".join(map(str, row.output)),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.macs:,}" if row.macs else "",
                f"{row.receptive_field}x{row.receptive_field}" if row.receptive_field else "?",
                style="cyan" if row.is_norm else None,
            )
        before = row
    table.rows[-1:] = [replace(row, end_section=True) for row in table.rows[-1:]]
    table.add_row("total", "", f"{summary.parameters:,}", f"{summary.macs:,}", "", style="bold")
    parts: list[RenderableType] = [
        *([Text(tree)] if tree else []),
        table,
        *map(Text, _sentences(summary)),
        _budget_line(summary),
    ]
    document = {"command": "summary", **summary_document(summary)} | ({"torchinfo": tree} if tree else {})
    output.result(parts, document, quiet=str(summary.parameters))


def _moves(before: LayerRow, row: LayerRow) -> bool:
    """Test for a layer that changes the shape or the receptive field, as pools do and activations do not."""
    return (before.output, before.receptive_field, before.jump) != (row.output, row.receptive_field, row.jump)


def _sentences(summary: ModelSummary) -> list[str]:
    kinds = ", ".join(dict.fromkeys(row.kind for row in summary.rows if row.is_norm))
    total = (
        f"{summary.network} with {summary.norm}{f' ({kinds})' * bool(kinds)}: {summary.parameters:,} parameters, "
        f"{summary.macs:,} MACs per image."
    )
    share = summary.norm_parameters / summary.parameters
    norm = f"Norm layers: {summary.norm_parameters:,} parameters ({share:.1%}), {summary.norm_buffers:,} buffer values."
    sentences = [total, norm]
    if any(row.receptive_field is None for row in summary.rows):
        return [
            *sentences,
            "Receptive fields (?): not derived for a custom network, whose code may do more than its layers.",
        ]
    if reach := REACH.get(summary.global_dependency):
        sentences.append(f"Receptive fields are those of convolutions and pools. {reach}")
    return sentences


def _budget_line(summary: ModelSummary) -> Text:
    budget = f"the budget of fewer than {summary.budget:,} parameters"
    if summary.over_budget:
        return Text(f"Over {budget}, by {summary.over_budget:,}: `train` refuses it.", style="bold red")
    left = summary.budget - 1 - summary.parameters
    return Text(f"Within {budget}; {left:,} are left.", style="green")


def show_norms(output: Output, summaries: Sequence[ModelSummary]) -> None:
    """Print one row per norm with the size of its network."""
    table = plain_table("norm", "parameters", "of the norm", "buffers", "MACs", "budget")
    for summary in summaries:
        over = summary.over_budget
        table.add_row(
            summary.norm,
            f"{summary.parameters:,}",
            f"{summary.norm_parameters:,}",
            f"{summary.norm_buffers:,}",
            f"{summary.macs:,}",
            Text(f"over by {over:,}", "red") if over else Text("within", "green"),
        )
    first = summaries[0]
    title = Text(f"Network {first.network}; the budget is fewer than {first.budget:,} parameters.", "dim")
    documents = [summary_document(summary) for summary in summaries]
    values = "\n".join(f"{summary.norm} {summary.parameters}" for summary in summaries)
    output.result([table, title], {"command": "summary", "networks": documents}, quiet=values)


def summary_document(summary: ModelSummary) -> dict[str, object]:
    """Return the JSON document of a summary."""
    return dataclasses.asdict(summary) | {"over_budget": summary.over_budget}
