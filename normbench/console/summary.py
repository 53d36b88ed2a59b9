"""Output of `summary` on the terminal."""

import dataclasses
from collections.abc import Sequence

from rich.console import RenderableType

from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.model_summary import ModelSummary

REACH = {
    "training": "While training, this norm's statistics make every output depend on every pixel of the batch.",
    "always": "This norm's statistics make every output depend on every pixel, too.",
    "unknown": "The reach of a custom norm's statistics is not known.",
}
"""Extent of a norm's statistics beyond the receptive field, by `global_dependency`."""


def show_network(output: Output, summary: ModelSummary) -> None:
    """Print one network: torchinfo's table, layers with MACs, receptive field and jump, then the budget."""
    table = plain_table("layer", "kind", "output", "parameters", "MACs", "receptive field", "jump", left=2)
    for row in summary.rows:
        table.add_row(
            row.name,
            row.kind,
            "x".join(map(str, row.output)),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.macs:,}" if row.macs else "",
            f"{row.receptive_field}x{row.receptive_field}" if row.receptive_field else "?",
            str(row.jump) if row.jump else "?",
            style="cyan" if row.is_norm else None,
        )
    parts: list[RenderableType] = [
        Text(summary.torchinfo),
        table,
        *map(Text, _sentences(summary)),
        _budget_line(summary),
    ]
    output.result(parts, {"command": "summary", **summary_document(summary)}, quiet=str(summary.parameters))


def _sentences(summary: ModelSummary) -> list[str]:
    total = (
        f"{summary.network} with {summary.norm}: {summary.parameters:,} parameters, {summary.macs:,} MACs per image."
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
    """Return the JSON document of a summary, without torchinfo's table, which is text."""
    content = dataclasses.asdict(summary)
    del content["torchinfo"]
    return content | {"over_budget": summary.over_budget}
