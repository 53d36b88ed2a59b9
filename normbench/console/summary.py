"""The tables of `normbench summary`."""

import dataclasses
from collections.abc import Sequence

from rich.console import RenderableType

from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.model_summary import ModelSummary

# What a norm's statistics add to the receptive field, by when they do.
_REACH = {
    "training": "While training, this norm's statistics make every output depend on every pixel of the batch.",
    "always": "This norm's statistics make every output depend on every pixel, too.",
    "unknown": "How far the statistics of a norm of your own reach is not known here.",
}


def show_network(output: Output, anatomy: ModelSummary) -> None:
    """One network: torchinfo's table, then ours with MACs, receptive field and jump, then the budget."""
    table = plain_table("layer", "kind", "output", "parameters", "MACs", "receptive field", "jump", left=2)
    for row in anatomy.rows:
        table.add_row(
            row.name,
            row.kind,
            "x".join(map(str, row.output)),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.macs:,}" if row.macs else "",
            f"{row.receptive_field}x{row.receptive_field}",
            str(row.jump),
            style="cyan" if row.is_norm else None,
        )
    parts: list[RenderableType] = [Text(anatomy.torchinfo), table, *map(Text, _sentences(anatomy)), _verdict(anatomy)]
    output.result(parts, {"command": "summary", **document(anatomy)}, quiet=str(anatomy.parameters))


def _sentences(anatomy: ModelSummary) -> list[str]:
    total = f"{anatomy.network} with {anatomy.norm}: {anatomy.parameters:,} parameters, {anatomy.macs:,} MACs an image."
    share = anatomy.norm_parameters / anatomy.parameters
    norm = f"Norm layers: {anatomy.norm_parameters:,} parameters ({share:.1%}), {anatomy.norm_buffers:,} buffer values."
    sentences = [total, norm]
    if reach := _REACH.get(anatomy.global_dependency):
        sentences.append(f"Receptive fields are those of convolutions and pools. {reach}")
    return sentences


def _verdict(anatomy: ModelSummary) -> Text:
    budget = f"the budget of fewer than {anatomy.budget:,} parameters"
    if anatomy.over_budget:
        return Text(f"Over {budget}, by {anatomy.over_budget:,}: `train` refuses it.", style="bold red")
    left = anatomy.budget - 1 - anatomy.parameters
    return Text(f"Within {budget}; {left:,} are left.", style="green")


def show_norms(output: Output, anatomies: Sequence[ModelSummary]) -> None:
    """One row a norm: what each does to the network's size."""
    table = plain_table("norm", "parameters", "of the norm", "buffers", "MACs", "budget")
    for anatomy in anatomies:
        over = anatomy.over_budget
        table.add_row(
            anatomy.norm,
            f"{anatomy.parameters:,}",
            f"{anatomy.norm_parameters:,}",
            f"{anatomy.norm_buffers:,}",
            f"{anatomy.macs:,}",
            Text(f"over by {over:,}", "red") if over else Text("within", "green"),
        )
    first = anatomies[0]
    title = Text(f"Network {first.network}; the budget is fewer than {first.budget:,} parameters.", "dim")
    documents = [document(anatomy) for anatomy in anatomies]
    values = "\n".join(f"{anatomy.norm} {anatomy.parameters}" for anatomy in anatomies)
    output.result([table, title], {"command": "summary", "networks": documents}, quiet=values)


def document(anatomy: ModelSummary) -> dict[str, object]:
    """An anatomy as `--json` shows it: without torchinfo's table, which is text."""
    content = dataclasses.asdict(anatomy)
    del content["torchinfo"]
    return content | {"over_budget": anatomy.over_budget}
