"""Completion of names in a shell, without torch: norms, recipes, networks, runs, experiments, keys of --set."""

import ast
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from normbench.config import MachineConfig, Recipe
from normbench.config.settings import AUTO, DATA_SETS
from normbench.errors import NormbenchError

Names = Callable[[typer.Context], Iterable[str]]
"""Names that a flag or an argument can have, from what was typed before."""
Completer = Callable[[typer.Context, str], list[str]]


def completer(names: Names, *, several: bool) -> Completer:
    """Make the completer of a flag or an argument.

    Args:
        names: The names.
        several: Names may be separated by commas; the last one is completed, to one that was not typed before.
    """

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        head, comma, last = incomplete.rpartition(",") if several else ("", "", incomplete)
        typed = head.split(",")
        try:
            return [f"{head}{comma}{name}" for name in names(ctx) if name.startswith(last) and name not in typed]
        except (OSError, NormbenchError):  # a completion has nowhere to report to
            return []

    return complete


def choices(*names: str) -> Names:
    """Return names that are the same at any time."""
    return lambda _ctx: names


devices = choices("auto", "cpu", "cuda", "mps")


def norms(_ctx: typer.Context) -> Iterable[str]:
    """List the built-in norms."""
    from normbench.norms import NORMS

    return NORMS


def recipes(_ctx: typer.Context) -> Iterable[str]:
    """List the recipes that come with normbench; a shell completes the path of a file by itself."""
    from normbench.config import recipe_names

    return recipe_names()


def networks(_ctx: typer.Context) -> Iterable[str]:
    """List the built-in networks, by their table's source: its module imports torch, which takes a second."""
    source = Path(__file__).parents[1] / "networks" / "build.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.value, ast.Dict)
            and ast.unparse(node.target) == "NETWORKS"
        ):
            return [ast.literal_eval(key) for key in node.value.keys if key is not None]
    return []


def data_sets(_ctx: typer.Context) -> Iterable[str]:
    """List the data sets."""
    return (*DATA_SETS, AUTO)


def needs(_ctx: typer.Context) -> Iterable[str]:
    """List the requirements of `advise`."""
    from normbench.advice import NEEDS

    return NEEDS


def settings(_ctx: typer.Context) -> Iterator[str]:
    """List the keys of a recipe, each with the sign that its value follows."""
    return (f"{key}=" for key in _keys(Recipe))


def _keys(model: type[BaseModel], section: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{section}{name}.")
        elif name != "norm":
            yield f"{section}{name}"


def runs(ctx: typer.Context) -> list[str]:
    """List the run folders under --out, by name alone where only one experiment has it."""
    paths = [path for experiment in sorted(_out(ctx).glob("*")) for path in _runs_in(experiment)]
    counts = Counter(path.name for path in paths)
    return [path.name if counts[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in paths]


def _runs_in(experiment: Path) -> list[Path]:
    from normbench.runs.archive import run_folders

    try:
        return run_folders(experiment)
    except NormbenchError:  # a completion says nothing; the command does
        return []


def experiments(ctx: typer.Context) -> list[str]:
    """List the experiments under --out."""
    out = _out(ctx)
    files = [*out.glob("*/finding.json"), *out.glob("*/runs.zip")]
    return sorted({path.parent.name for path in files} | {path.parents[1].name for path in out.glob("*/*/config.json")})


def _out(ctx: typer.Context) -> Path:
    typed = ctx.params.get("out")
    return MachineConfig.resolve({"out": os.fspath(typed)} if typed else {}).out
