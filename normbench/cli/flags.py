"""Every flag, declared once, so that it means the same in every command.

A command names the flags it takes with `@flags(...)` and receives a `Given`: what the user typed, and nothing else.
"""

import functools
import inspect
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.config import MachineConfig
    from normbench.console import Output


def _option(kind: Any, *names: str, text: str, panel: str, metavar: str | None = None) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=panel, metavar=metavar)]


def _switch(*names: str, text: str, panel: str) -> Any:
    return Annotated[bool | None, typer.Option(*names, help=text, rich_help_panel=panel)]


WHAT, HOW, DATA, MACHINE, SHOW = "What to run", "Training", "Data", "Machine", "Output"

FLAGS: dict[str, Any] = {
    "norm": _option(
        str,
        "--norm",
        text="A norm (see `normbench norms`), file.py:factory or package.module:factory; +ws adds weight "
        "standardization.",
        panel=WHAT,
        metavar="NORM",
    ),
    "norms": _option(str, "--norms", text="Norms to compare, with commas: bn,gn,ln.", panel=WHAT, metavar="A,B,C"),
    "all": _switch("--all", text="The norms of the assignment: bn, gn and ln.", panel=WHAT),
    "every": _switch("--every", text="Every registered norm.", panel=WHAT),
    "control": _option(
        str, "--control", text="The norm that the others are set against. [default: the first]", panel=WHAT,
        metavar="NORM",
    ),
    "network": _option(str, "--network", text="c10, dwnet or lnet.", panel=WHAT, metavar="NAME"),
    "config": _option(
        str, "--config", text="A recipe (see `normbench recipes`) or a TOML file. \\[default: baseline]", panel=WHAT,
        metavar="RECIPE",
    ),
    "set": _option(
        list[str], "--set", text="Any setting of a recipe, as training.momentum=0.95; may be repeated.", panel=WHAT,
        metavar="KEY=VALUE",
    ),
    "groups": _option(int, "--groups", text="Channel groups of GroupNorm.", panel=WHAT),
    "max_params": _option(
        int, "--max-params", text="Refuse networks with this many parameters or more. \\[default: 50000]", panel=WHAT
    ),
    "epochs": _option(int, "--epochs", text="Epochs, 1 to 20.", panel=HOW),
    "batch_size": _option(int, "--batch-size", text="Images in a step.", panel=HOW),
    "lr": _option(str, "--lr", text="Learning rate; `compare` takes several, to search.", panel=HOW, metavar="LR"),
    "weight_decay": _option(
        str, "--weight-decay", text="L2 penalty; `compare` takes several, to search.", panel=HOW, metavar="DECAY"
    ),
    "seed": _option(int, "--seed", text="Seed of the run; the first one, where there are several.", panel=HOW),
    "seeds": _option(int, "--seeds", text="How many seeds each norm is trained with.", panel=HOW),
    "deterministic": _switch("--deterministic", text="Bitwise repeatable kernels only.", panel=HOW),
    "dataset": _option(str, "--dataset", text="cifar10, digits (embedded), or auto.", panel=DATA, metavar="NAME"),
    "subset": _option(int, "--subset", text="Train on this many images.", panel=DATA),
    "val_split": _option(float, "--val-split", text="Fraction of the training images held out.", panel=DATA),
    "data_dir": _option(Path, "--data-dir", text="Folder with CIFAR-10. \\[env: NORMBENCH_DATA_DIR]", panel=DATA),
    "offline": _switch("--offline", text="Never touch the network. \\[env: NORMBENCH_OFFLINE]", panel=DATA),
    "images": _option(Path, "--images", text="Folder of pictures of your own to classify.", panel=DATA),
    "fetch": _switch("--fetch", text="Download CIFAR-10 into the cache.", panel=DATA),
    "device": _option(
        str, "--device", text="auto, cuda, mps or cpu. \\[env: NORMBENCH_DEVICE]", panel=MACHINE, metavar="NAME"
    ),
    "out": _option(Path, "--out", text="Folder of run folders. \\[env: NORMBENCH_OUT; default: runs]", panel=MACHINE),
    "force": _switch("--force", text="Redo runs that are done.", panel=MACHINE),
    "yes": _switch("--yes", text="Do it; without it, what would be done is only shown.", panel=MACHINE),
    "dry_run": _switch("--dry-run", text="Show what would be run, and run nothing.", panel=SHOW),
    "json": _switch("--json", text="Print one JSON document on stdout.", panel=SHOW),
    "quiet": _switch("--quiet", "-q", text="Print the essential value only.", panel=SHOW),
}  # fmt: skip

ARGUMENTS: dict[str, Any] = {
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, or its name under --out (a part will do).")
    ]
    for name in ("run", "other")
} | {
    "experiment": Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="An experiment's folder, or its name under --out.")
    ]
}

SCIENCE = (
    "network", "config", "set", "groups", "max_params", "epochs", "batch_size", "lr", "weight_decay", "seed",
    "deterministic", "dataset", "subset", "val_split",
)  # fmt: skip
MACHINE_FLAGS = ("data_dir", "offline", "device", "out", "force")
OUTPUT = ("json", "quiet")

# Where in a recipe the value of a flag goes.
PLACES: dict[str, tuple[str, ...]] = {
    "network": ("network", "name"),
    "groups": ("groups",),
    "epochs": ("training", "epochs"),
    "batch_size": ("training", "batch_size"),
    "lr": ("training", "lr"),
    "weight_decay": ("training", "weight_decay"),
    "seed": ("seed",),
    "seeds": ("seeds",),
    "deterministic": ("deterministic",),
    "dataset": ("data", "name"),
    "subset": ("data", "subset"),
    "val_split": ("data", "val_split"),
}


@dataclass(frozen=True)
class Given:
    """What the user typed: flags by name; a flag that was not typed is not in `values`."""

    values: dict[str, Any]
    subcommand: str | None = None
    """In a group of commands: the one that is called, which the group leaves the work to."""

    def __getitem__(self, name: str) -> Any:
        """The value of a flag, None if it was not given."""
        return self.values.get(name)

    @property
    def recipe(self) -> str:
        """The recipe asked for, or the default one."""
        return self["config"] or "baseline"

    @property
    def experiment(self) -> str:
        """The folder that runs of this recipe share."""
        return Path(self.recipe).stem

    def overrides(self, *leave_out: str) -> dict[str, Any]:
        """The science flags as nested settings over a recipe; flags win over `--set`."""
        settings: dict[str, Any] = {}
        for text in self["set"] or ():
            key, value = _assignment(text)
            _put(settings, key, value)
        for name, place in PLACES.items():
            if name in self.values and name not in leave_out:
                _put(settings, place, self.number(name) if name in {"lr", "weight_decay"} else self[name])
        return settings

    def numbers(self, name: str) -> tuple[float, ...]:
        """The numbers of a flag that takes several with commas, each once; empty if it was not given."""
        try:
            return tuple(dict.fromkeys(map(float, self[name].split(",")))) if name in self.values else ()
        except ValueError as error:
            raise UsageError(f"{_flag(name)} {self[name]}: not a number, nor several with commas") from error

    def number(self, name: str) -> float:
        """The one number of a flag that only `compare` takes several of."""
        numbers = self.numbers(name)
        if len(numbers) != 1:
            raise UsageError(
                f"{_flag(name)} takes one value here", f"`normbench compare {_flag(name)} A,B,C` tries several."
            )
        return numbers[0]

    def machine(self) -> "MachineConfig":
        """The machine settings: flags over `NORMBENCH_*` over defaults."""
        from normbench.config import MachineConfig

        return MachineConfig.resolve({name: self[name] for name in MACHINE_FLAGS if name in self.values})

    def output(self) -> "Output":
        """The sink in the mode that was asked for."""
        from normbench.console import Output

        return Output("json" if self["json"] else "quiet" if self["quiet"] else "human")


def flags(*names: str) -> Callable[[Callable[[Given], None]], Callable[..., None]]:
    """Give a command these flags: Typer reads them from the signature that is made here."""

    def decorate(command: Callable[[Given], None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(context: typer.Context, **values: Any) -> None:
            typed = {name: value for name, value in values.items() if _was_typed(value)}
            command(Given(typed, context.invoked_subcommand))

        kinds = {"context": typer.Context} | {name: (ARGUMENTS | FLAGS)[name] for name in names}
        wrapper.__signature__ = inspect.Signature([_parameter(*item) for item in kinds.items()])  # type: ignore[attr-defined]
        wrapper.__annotations__ = kinds
        return wrapper

    return decorate


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    """A parameter for Typer to read; arguments and the context are required, flags are not."""
    default = None if name in FLAGS else inspect.Parameter.empty
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _was_typed(value: Any) -> bool:
    """Whether a flag's value is the user's: Typer gives None, False or an empty list for the others, but 0 is typed."""
    return value is not None and value is not False and value not in ([], ())


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _put(settings: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *sections, key = place
    for section in sections:
        settings = settings.setdefault(section, {})
        if not isinstance(settings, dict):
            raise UsageError(f"--set {section}={settings}: {section} is a section; give its keys, as {'.'.join(place)}")
    settings[key] = value


def _assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """`training.lr=0.1` as place and value; the value is read as TOML reads it, a bare word as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text}: not of the form KEY=VALUE", "For example: --set training.momentum=0.95")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    return tuple(part.strip() for part in key.split(".")), parsed
