"""Output of `norms`, `recipes` and `data`."""

import dataclasses

from rich.console import RenderableType

from normbench.config.recipes import recipe_header, recipe_names, recipe_path
from normbench.console.output import Output
from normbench.console.tables import plain_table
from normbench.console.text import Text
from normbench.data import Status
from normbench.norms import NORMS, NormInfo, default_arguments
from normbench.norms.weights import WEIGHTS


def arguments(info: NormInfo) -> list[str]:
    """Return the arguments of a built-in norm with their defaults, as text."""
    return [f"{name}={value}" for name, value in default_arguments(info).items()]


def norm_document(info: NormInfo) -> dict[str, object]:
    """Return the record of a norm as a JSON document."""
    fields = {
        field.name: getattr(info, field.name)
        for field in dataclasses.fields(info)
        if field.name not in ("build", "further", "omits_single_values")
    }
    statistics = [{"name": name, "axes": str(axes)} for name, axes in info.statistics]
    return fields | {"axes": info.axes_text, "statistics": statistics, "arguments": default_arguments(info)}


def show_norms(output: Output) -> None:
    """Print one block per built-in norm: formulas and advice are too long for a table."""
    parts: list[RenderableType] = []
    for info in NORMS.values():
        batch = "depends on the batch" if info.batch_statistics else "each image alone"
        modes = "train and eval differ" if info.train_eval_differ else "train and eval agree"
        over = "; ".join(name if axes.is_empty else f"{name} over {axes}" for name, axes in info.statistics)
        heading = Text.assemble((info.name, "bold cyan"), f"  {info.title}  ", (f"({info.paper})", "dim"))
        lines = [f"  y = {info.formula}", f"  {over}; {batch}; {modes}", f"  {info.when}"]
        lines += [f"  {info.name}({', '.join(arguments(info))})"] * bool(arguments(info))
        parts += [heading, Text("\n".join(lines) + "\n")]
    parts += [Text(f"Add {name} to any name for {switch.title} ({switch.paper})") for name, switch in WEIGHTS.items()]
    parts.append(Text("Arguments, with their defaults above: --norm 'gn(groups=8)', --norms 'bn,bn(momentum=0.01)'"))
    parts.append(Text("Page of a norm, with a picture of its axes and measured accuracies: normbench norms gn"))
    parts.append(
        Text("Custom norms: --norm file.py:factory or --norm package.module:factory, called with the channels")
    )
    documents = [norm_document(info) for info in NORMS.values()]
    output.result(parts, {"command": "norms", "norms": documents}, quiet="\n".join(NORMS))


def show_recipes(output: Output) -> None:
    """Print every built-in recipe with its header."""
    headers = {name: recipe_header(recipe_path(name)) for name in recipe_names()}
    parts: list[RenderableType] = [
        Text.assemble((f"{name}\n", "bold cyan"), header + "\n") for name, header in headers.items()
    ]
    documents = [{"name": name, "path": str(recipe_path(name)), "header": header} for name, header in headers.items()]
    output.result(parts, {"command": "recipes", "recipes": documents}, quiet="\n".join(headers))


def show_data(output: Output, status: Status) -> None:
    """Print the folders searched for CIFAR-10, and the state of each file."""
    table = plain_table("file", "state", left=2)
    for name, state in status.files.items():
        table.add_row(name, Text(state, style="green" if state == "ok" else "red"))
    searched = Text("Searched: " + ", ".join(map(str, status.searched)), style="dim")
    if status.folder is None:
        conclusion = Text("CIFAR-10 was not found. `normbench data --fetch` downloads it.", style="red")
    elif status.complete:
        conclusion = Text(f"CIFAR-10 is complete, in {status.folder}", style="green")
    else:
        conclusion = Text(
            f"CIFAR-10 in {status.folder} is damaged; `normbench data --fetch` downloads it.", style="red"
        )
    document = {"command": "data", **dataclasses.asdict(status)}
    output.result([table, searched, conclusion], document, quiet=str(status.folder) if status.complete else "")
