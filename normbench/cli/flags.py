"""Every flag, declared once, so that it means the same in every command.

A command names the flags it takes with `@flags(...)` and receives a `Options`: what the user typed, and nothing else.
"""

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from normbench.cli.options import Options, number, whole
from normbench.errors import UsageError, shortened

METAVARS = {int: "N", float: "FRACTION", Path: "PATH"}


def parser(kind: type, flag: str, bounds: tuple[int, int] | None = None) -> Callable[[str], Any]:
    """Make the function that parses the text of a flag.

    Args:
        kind: `str`, `int`, `float` or `Path`.
        flag: Spelling of the flag, for errors.
        bounds: Smallest and largest integer that the flag accepts, where no setting bounds it.
    """

    def parse(text: str) -> Any:
        if kind is Path:
            from normbench.config.validation import user_path

            return user_path(text, flag)
        if not text.strip():
            raise UsageError(f"{flag} is empty", "Omit it, or give it a value.")
        if kind is str:
            from normbench.config.validation import check_text

            return check_text(text, flag)
        try:
            value = whole(text) if kind is int else number(text)
        except ValueError as error:
            kind_name = "an integer" if kind is int else "a number"
            raise UsageError(f"{flag} {shortened(text)}: not {kind_name} in the digits 0 to 9") from error
        if bounds and not bounds[0] <= value <= bounds[1]:
            raise UsageError(f"{flag} {value}: must be from {bounds[0]:,} to {bounds[1]:,}")
        return value

    return parse


def option(
    kind: Any, *names: str, text: str, panel: str, metavar: str | None = None, bounds: tuple[int, int] | None = None
) -> Any:
    """Make a flag with a value; bounds are those of a number that no setting has bounds for."""
    read = parser(kind, names[0], bounds) if kind in (str, int, float, Path) else None
    option = typer.Option(
        *names, help=escape(text), rich_help_panel=panel, metavar=metavar or METAVARS.get(kind), parser=read
    )
    return Annotated[kind | None, option]


def switch(*names: str, text: str, panel: str) -> Any:
    """Make a flag without a value."""
    return Annotated[bool, typer.Option(*names, help=escape(text), rich_help_panel=panel, metavar="")]


def _argument(name: str, text: str, optional: bool = False) -> Any:
    kind = str | None if optional else str
    return Annotated[kind, typer.Argument(metavar=name, help=escape(text), parser=parser(str, name))]


def escape(text: str) -> str:
    """A text whose brackets are shown: Typer takes help for markup."""
    return re.sub(r"\[(?=[a-zA-Z/@#])", r"\\[", text)


WHAT, HOW, DATA, MACHINE, SHOW = "What to run", "Training", "Data", "Machine", "Output"

FLAGS: dict[str, Any] = {
    "norm": option(
        str,
        "--norm",
        text="A norm (see `normbench norms`), file.py:factory or package.module:factory; +ws adds weight "
        "standardization.",
        panel=WHAT,
        metavar="NORM",
    ),
    "norms": option(str, "--norms", text="Norms to compare, with commas: bn,gn,ln.", panel=WHAT, metavar="A,B,C"),
    "all": switch("--all", text="The norms of the assignment: bn, gn and ln.", panel=WHAT),
    "every": switch("--every", text="Every built-in norm.", panel=WHAT),
    "control": option(
        str, "--control", text="The norm that the others are set against. [default: the first]", panel=WHAT,
        metavar="NORM",
    ),
    "margin": option(
        float, "--margin", text="Percentage points within which norms count as alike. [default: 0.5]",
        panel=SHOW, metavar="PP",
    ),
    "task": option(
        str,
        "--task",
        text="vision, detection, segmentation, medical, video, generation, image-to-image, style, sequence or online.",
        panel=WHAT,
        metavar="NAME",
    ),
    "devices": option(
        int, "--devices", text="Devices that train together. [default: 1]", panel=WHAT, bounds=(1, 100_000)
    ),
    "image": switch("--image", text="The data are images, whatever the task.", panel=WHAT),
    "sequence": switch("--sequence", text="The data are sequences, as a vision transformer's patches.", panel=WHAT),
    "needs": option(
        str,
        "--needs",
        text="Of fold, streaming, agree, fast, export and pretrained, with commas.",
        panel=WHAT,
        metavar="A,B",
    ),
    "rules": switch("--rules", text="List every rule and its evidence.", panel=SHOW),
    "network": option(
        str, "--network", text="c10, resnet, dwnet, lnet (docs/networks.md), or file.py:factory.", panel=WHAT,
        metavar="NETWORK",
    ),
    "config": option(
        str, "--config", text="A recipe (see `normbench recipes`) or TOML file. [default: baseline; studies: own]",
        panel=WHAT, metavar="RECIPE",
    ),
    "set": option(
        list[str], "--set", text="Any setting of a recipe, as training.momentum=0.95; may be repeated.", panel=WHAT,
        metavar="KEY=VALUE",
    ),
    "groups": option(int, "--groups", text="Channel groups of GroupNorm.", panel=WHAT, bounds=(1, 1024)),
    "max_params": option(
        int, "--max-params", text="Refuse networks with this many parameters or more. [default: 50000]", panel=WHAT
    ),
    "epochs": option(int, "--epochs", text="Epochs, 1 to 20.", panel=HOW),
    "batch_size": option(int, "--batch-size", text="Images in a step.", panel=HOW),
    "lr": option(
        str, "--lr", text="Learning rate; `compare` and `depth` take several, to search.", panel=HOW, metavar="LR"
    ),
    "weight_decay": option(
        str, "--weight-decay", text="L2 penalty; `compare` takes several, to search.", panel=HOW, metavar="DECAY"
    ),
    "seed": option(
        int, "--seed", text="Seed of the run; the first one, where there are several.", panel=HOW, bounds=(0, 2**32 - 1)
    ),
    "seeds": option(int, "--seeds", text="How many seeds each norm is trained with.", panel=HOW),
    "deterministic": switch("--deterministic", text="Bitwise repeatable kernels only.", panel=HOW),
    "dataset": option(str, "--dataset", text="cifar10, digits (embedded), or auto.", panel=DATA, metavar="NAME"),
    "subset": option(int, "--subset", text="Train on this many images.", panel=DATA),
    "val_split": option(float, "--val-split", text="Fraction of the training images held out.", panel=DATA),
    "data_dir": option(Path, "--data-dir", text="Folder with CIFAR-10. [env: NORMBENCH_DATA_DIR]", panel=DATA),
    "offline": switch("--offline", text="Never touch the network. [env: NORMBENCH_OFFLINE]", panel=DATA),
    "name": option(
        str, "--name", text="Name of the experiment, a folder under --out. [default: the recipe's, or the study's]",
        panel=MACHINE, metavar="NAME",
    ),
    "images": option(
        Path, "--images", text="Folder of your own pictures to classify; sub-folders named after classes are labels.",
        panel=DATA,
    ),
    "format": option(str, "--format", text="onnx", panel=SHOW, metavar="NAME"),
    "file": option(Path, "--file", text="Where to write it. [default: model.onnx in the run's folder]", panel=SHOW),
    "svg": option(Path, "--svg", text="Write the picture of what it averages over to this file.", panel=SHOW),
    "fetch": switch("--fetch", text="Download CIFAR-10 into --data-dir, or the cache.", panel=DATA),
    "device": option(
        str, "--device", text="auto, cuda, cuda:N, mps or cpu. [env: NORMBENCH_DEVICE]", panel=MACHINE, metavar="NAME"
    ),
    "out": option(Path, "--out", text="Folder of run folders. [env: NORMBENCH_OUT; default: runs]", panel=MACHINE),
    "trust": switch(
        "--trust", panel=MACHINE,
        text="Run the code of a custom norm or network that the run folder keeps. Only for folders you trust.",
    ),
    "force": switch("--force", text="Redo runs that are done.", panel=MACHINE),
    "jobs": option(
        int, "--jobs", text="Runs trained at once. [default: as many as the device can]", panel=MACHINE, metavar="N"
    ),
    "shard": option(
        str, "--shard", text="Train part I of N of the runs only, as a job of an array; without it, all are shown.",
        panel=MACHINE, metavar="I/N",
    ),
    "no_capture": switch(
        "--no-capture", text="On CUDA: send every step anew instead of repeating a captured one.", panel=MACHINE
    ),
    "track": option(
        str, "--track", text="A live view beside: tensorboard, trackio or wandb.", panel=MACHINE, metavar="NAME"
    ),
    "yes": switch("--yes", text="Do it; without it, what would be done is only shown.", panel=MACHINE),
    "dry_run": switch("--dry-run", text="Show what would be run, and run nothing.", panel=SHOW),
    "json": switch("--json", text="Print one JSON document on stdout.", panel=SHOW),
    "quiet": switch("--quiet", "-q", text="Print the essential value only.", panel=SHOW),
}  # fmt: skip

ARGUMENTS: dict[str, Any] = {
    name: _argument("RUN", "A run's folder, or its name under --out (a part will do).") for name in ("run", "other")
} | {
    "norm_name": _argument("NORM", "A registered norm, or file.py:factory; +ws goes with it.", optional=True),
    "experiment": _argument("EXPERIMENT", "An experiment's folder, or its name under --out."),
}

OPTIONAL = ("norm_name",)
"""Arguments that may be left out."""

SCIENCE = (
    "network", "config", "set", "groups", "max_params", "epochs", "batch_size", "lr", "weight_decay", "seed",
    "deterministic", "dataset", "subset", "val_split",
)  # fmt: skip
OUTPUT = ("json", "quiet")


def flags(*names: str) -> Callable[[Callable[[Options], None]], Callable[..., None]]:
    """Give a command these flags and arguments, and its docstring as help."""

    def decorate(function: Callable[[Options], None]) -> Callable[..., None]:
        return command(function, {name: (ARGUMENTS | FLAGS)[name] for name in names}, inspect.getdoc(function) or "")

    return decorate


def command(function: Callable[[Options], None], annotations: dict[str, Any], text: str) -> Callable[..., None]:
    """Make a command whose flags Typer reads from the signature that is made here.

    Args:
        function: Receives what the user typed.
        annotations: Of flags and arguments, by name.
        text: The help.
    """

    @functools.wraps(function)
    def wrapper(context: typer.Context, **values: Any) -> None:
        function(Options({name: _typed(value) for name, value in values.items()}, context.invoked_subcommand))

    kinds = {"context": typer.Context} | annotations
    wrapper.__signature__ = inspect.Signature([_parameter(*item) for item in kinds.items()])  # type: ignore[attr-defined]
    wrapper.__annotations__ = kinds
    wrapper.__doc__ = escape(re.sub(r"(?<!\n)\n(?!\n)", " ", text))  # a line a paragraph, for any width
    return wrapper


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    """A parameter for Typer to read; the context and most arguments are required, flags are not."""
    required = name == "context" or (name in ARGUMENTS and name not in OPTIONAL)
    default: Any = inspect.Parameter.empty if required else None
    if get_args(annotation)[:1] == (bool,):
        default = False
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typed(value: Any) -> Any:
    """Value of a flag as typed; None in place of the False or the empty list that Typer gives for one that was not."""
    return None if value is False or value in ([], ()) else value


class Command(TyperCommand):
    """Command whose --help is shown without the type that Typer gives it."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Option --help without a type."""
        return _without_metavar(super().get_help_option(ctx))


class Group(TyperGroup):
    """Group of commands whose --help is shown without the type that Typer gives it."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Option --help without a type."""
        return _without_metavar(super().get_help_option(ctx))


def _without_metavar(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option
