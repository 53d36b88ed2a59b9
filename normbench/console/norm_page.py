"""Output of `norms NAME`: one norm's page."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table

from normbench.advice.published import documented_text, of_norm
from normbench.analysis import HistoryEntry
from normbench.analysis.example import EPSILON, INPUTS, Example, example_tables
from normbench.analysis.format import accuracy, finished
from normbench.config.norm_names import WEIGHT_STANDARDIZATION, NormName
from normbench.console.lists import arguments, norm_document
from normbench.console.output import Output
from normbench.console.tables import plain_table, show_table
from normbench.console.text import Text
from normbench.norms import NormInfo
from normbench.norms.axes import CHANNELS, IMAGES, POSITIONS, Axes
from normbench.norms.weights import WEIGHTS, WeightSwitch

MARKED, OTHER = ("██", "bold blue"), ("··", "dim")
"""Cells inside and outside one statistic, which differ in shape as well as in colour."""


@dataclass(frozen=True)
class NormPage:
    """Content of the page of a norm."""

    name: str
    """Canonical name."""
    info: NormInfo
    history: Sequence[HistoryEntry]
    out: str
    """Folder that was searched for runs."""

    @property
    def switch(self) -> WeightSwitch | None:
        """The record of the switch for the weights of convolutions, if it has one."""
        return WEIGHTS.get(NormName.parse(self.name).weights)


def show_norm(output: Output, page: NormPage) -> None:
    """Print the page of a norm: formula, axes as text and as a picture, advice, paper, accuracies."""
    info, batch = page.info, "depends on the batch" if page.info.batch_statistics else "each image alone"
    modes = "train and eval differ" if info.train_eval_differ else "train and eval agree"
    parts: list[RenderableType] = [
        Text.assemble(
            (page.name, "bold cyan"), f"  {info.title}{f' with {page.switch.title}' if page.switch else ''}\n"
        ),
        _facts(page, "" if info.axes is None else f"{batch}; {modes}"),
    ]
    for statistic, axes in info.statistics:
        if not axes.is_empty:
            subject = f"{statistic} over {axes}" if info.further else "statistic"
            parts += [Text(f"\nOne {subject}, in a batch of images:\n"), cube(axes)]
    output.result([*parts, *_figures(page)], document(page), quiet=f"y = {info.formula}")


def show_example(output: Output, example: Example) -> None:
    """Print the steps of a worked example."""
    parts = [part for table in example_tables(example) for part in show_table(table)]
    modes = (
        "In train mode; eval mode takes the running statistics of the training instead. " * example.train_eval_differ
    )
    note = f"{modes}eps {EPSILON:f}".rstrip("0")
    quiet = "\n".join(" ".join(f"{value:.6g}" for value in row) for row in example.output)
    document = {"command": "norms", "example": asdict(example) | {"input": INPUTS, "eps": EPSILON}}
    output.result([Text.assemble((example.norm, "bold cyan")), *parts, Text(note, style="dim")], document, quiet=quiet)


def _facts(page: NormPage, nature: str) -> RenderableType:
    info = page.info
    switches = [page.switch] if page.switch else []
    formulas = [f"y = {info.formula}", *(switch.formula for switch in switches)]
    papers = [info.paper] * (info.paper != "-") + [switch.paper for switch in switches]
    lines = {
        "formula": formulas,
        "arguments": [", ".join(arguments(info))] if arguments(info) else [],
        "over": [info.axes_sentence, *([f"{nature[:1].upper()}{nature[1:]}."] if nature else [])],
        "brings": [f"Its own activation; without it: {info.name.partition('(')[0]}(activation=false)."]
        * info.activates,
        "torch": [f"{call} on {shapes}" for call, shapes in info.torch],
        "use": [info.when, *(f"{switch.name}: {switch.when}" for switch in switches)],
        "avoid": [info.avoid] * bool(info.avoid) + [f"{switch.name}: {switch.avoid}" for switch in switches],
        "mistakes": list(info.mistakes),
        "paper": papers,
    }
    grid = Table.grid(padding=0)
    grid.add_column(width=10, style="dim")
    grid.add_column(overflow="fold")
    for name, values in lines.items():
        for index, value in enumerate(values):
            grid.add_row("" if index else name, Text(value))
    return grid


def cube(axes: Axes) -> Text:
    """Draw every image as a grid of channels (across) and positions (down), with the cells of one statistic marked."""
    text = Text()
    heads = ["".ljust(7), *(f"image {image + 1}".ljust(2 * CHANNELS + 3) for image in range(IMAGES))]
    text.append("".join(heads).rstrip() + "\n", "dim")
    for position in range(POSITIONS):
        text.append(("H×W" if position == POSITIONS // 2 else "").rjust(4).ljust(7), "dim")
        for image in range(IMAGES):
            for channel in range(CHANNELS):
                # Counted from the last channel, as the drawing in three dimensions is seen from there.
                text.append(*(MARKED if axes.covers(image, channel, position) else OTHER))
            text.append("   " if image < IMAGES - 1 else "\n")
    text.append(f"{'':7}{f'C, {CHANNELS} channels':<{2 * CHANNELS + 3}}", "dim")
    text.append(*MARKED).append(" in the statistic   ", "dim").append(*OTHER).append(" not", "dim")
    return text


def _figures(page: NormPage) -> list[RenderableType]:
    """Lay out measured accuracies, or the command that measures them."""
    if not page.history:
        norms = f"bn,{page.name}" if page.name != "bn" else "bn,gn"
        command = f"normbench compare --norms {shlex.quote(norms)} --seeds 3"
        return [Text(f"\nNot measured under {page.out} yet:\n  {command}"), *_documented(page.name)]
    table = plain_table("experiment", "test accuracy", "train accuracy", "seeds", "lr", "decay", title="\nMeasured")
    for entry in page.history:
        row = entry.row
        accuracies = [accuracy(mean, row.diverged, row.runs) for mean in (row.test_accuracy, row.train_accuracy)]
        table.add_row(entry.experiment, *accuracies, finished(row), f"{row.lr:g}", f"{row.weight_decay:g}")
    notes = [f"{entry.experiment}: {entry.caption}" for entry in page.history]
    return [table, Text("\n".join(dict.fromkeys(notes)), style="dim")]


def _documented(name: str) -> list[RenderableType]:
    """Lay out the figures of the documentation, a line per series of measurements, with their conditions."""
    series: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for entry, label, value in of_norm(name):
        group, _, at = entry.part.rpartition(", ")
        heading = ", ".join(filter(None, (group, label.partition(" ")[2])))
        lines = series.setdefault((entry.page, entry.caption, entry.quantity), {})
        lines.setdefault(heading, []).append(f"{at or f'batches of {entry.batch_size}'} {documented_text(value)}")
    parts: list[RenderableType] = [Text("\nDocumented", style="bold")] * bool(series)
    for (page, caption, quantity), lines in series.items():
        parts += [
            Text(f"{f'{heading}, {quantity}' if heading else quantity}: {', '.join(values)}")
            for heading, values in lines.items()
        ]
        parts.append(Padding(Text(f"{caption} ({page})", style="dim"), (0, 0, 0, 2)))
    return parts


def document(page: NormPage) -> dict[str, object]:
    """Return the JSON document of the page; accuracies are fractions."""
    fields = norm_document(page.info)
    measured = [
        {"experiment": entry.experiment, **entry.row.to_dict(), "conditions": entry.caption} for entry in page.history
    ]
    switch = page.switch.name if page.switch else ""
    extra = {
        "weight_standardization": switch == WEIGHT_STANDARDIZATION,
        "weights": switch,
        "averages": page.info.axes_sentence,
    }
    documented = [
        entry.model_dump(mode="json", exclude={"values", "wrong", "verdict"})
        | {"label": label, "value": value and value.model_dump()}
        for entry, label, value in of_norm(page.name)
    ]
    return {
        "command": "norms",
        "norm": fields | {"name": page.name} | extra,
        "measured": measured,
        "documented": documented,
    }
