"""Options of a command line: typed values, and the recipe, machine settings, output and callback they stand for."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from normbench.errors import UsageError, shortened

if TYPE_CHECKING:
    from normbench.config import MachineConfig, Recipe
    from normbench.console import Output
    from normbench.engine import Callback
    from normbench.runs import Permission

MACHINE_FLAGS = ("data_dir", "offline", "device", "out", "force", "jobs", "no_capture")

ASSIGNMENT = ("bn", "gn", "ln")
DEFAULT_RECIPE = "baseline"
MOST_VALUES = 100
"""Values that a comma-separated flag accepts."""
MOST_PARTS = 10_000
"""Parts that --shard divides a plan into: as many as a plan has runs at most."""
MOST_KEY_PARTS = 10
"""Parts that the key of --set accepts."""
MOST_DIGITS = 40

WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
ONE_NORM = re.compile(r"\s*norm\s*\.(?P<norm>.+)\.\s*(?P<key>\w+)\s*=(?P<value>.*)", re.DOTALL)
"""A setting of one norm, as `norm.gn.lr=0.1`; the name of a custom norm has dots of its own."""

SETTINGS: dict[str, tuple[str, ...]] = {
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
"""Setting of a recipe that each of these flags sets, as a path of keys."""

T = TypeVar("T")


def whole(text: str) -> int:
    """Parse an integer in the digits 0 to 9, and in no other digits that Python accepts.

    Raises:
        ValueError: The text is no integer.
    """
    if not WHOLE.fullmatch(text.strip(" ")) or len(text) > MOST_DIGITS:
        raise ValueError(f"not an integer: {text}")
    return int(text)


def number(text: str) -> float:
    """Parse a number in the digits 0 to 9.

    Raises:
        ValueError: The text is no number.
    """
    if not NUMBER.fullmatch(text.strip(" ")):
        raise ValueError(f"not a number: {text}")
    return float(text)


def _several(text: str, parse: Callable[[str], T]) -> tuple[T, ...]:
    """Parse comma-separated values, each once, in the order typed."""
    return tuple(dict.fromkeys(parse(part) for part in text.split(",")))


@dataclass(frozen=True)
class Options:
    """Flags and arguments of one command, as typed.

    Args:
        values: Value by name of every flag and argument that the command has; None for one that was not typed.
        subcommand: Name of the subcommand that does the work, in a group of commands.
    """

    values: Mapping[str, Any]
    subcommand: str | None = None

    def __post_init__(self) -> None:
        """Reject an invalid --name before anything is computed."""
        if (name := self.get("name")) is not None:
            from normbench.config.validation import check_name

            check_name(name, "--name")

    def __getitem__(self, name: str) -> Any:
        """Value of a flag of this command, None if it was not typed.

        Raises:
            KeyError: The command has no flag of that name.
        """
        return self.values[name]

    def get(self, name: str) -> Any:
        """Value of a flag that only some commands have; None if this one has not, or if it was not typed."""
        return self.values.get(name)

    def typed(self, *names: str) -> dict[str, Any]:
        """Values by name of those flags that were typed."""
        return {name: value for name in names if (value := self.get(name)) is not None}

    @property
    def recipe(self) -> str:
        """Name or path of the recipe: --config, or the default one."""
        return self.get("config") or DEFAULT_RECIPE

    @property
    def experiment(self) -> str:
        """Name of the experiment: --name, or the recipe's.

        Raises:
            UsageError: The recipe's name cannot be the name of a folder.
        """
        from normbench.config.validation import check_name

        if self["name"] is not None:
            return str(self["name"])
        return check_name(Path(self.recipe).stem, f"the recipe {self.recipe}")

    def study_experiment(self, study: str) -> str:
        """Name of a study's experiment: --name, or the study's name with that of the recipe if one was typed."""
        config = self.get("config")
        if self["name"] is not None or (config is not None and self.experiment.startswith(study)):
            return self.experiment
        return study if config is None else f"{study}-{self.experiment}"

    def overrides(self, *leave_out: str) -> dict[str, Any]:
        """Science flags as nested settings over a recipe; flags override --set."""
        from normbench.config.validation import check_text

        settings: dict[str, Any] = {}
        for text in self.get("set") or ():
            key, value = _parse_assignment(check_text(text, "--set"))
            _put(settings, key, value)
        for name in self.typed(*SETTINGS):
            if name not in leave_out:
                _put(settings, SETTINGS[name], self._value(name))
        return settings

    def load_recipe(self, overrides: dict[str, Any], default: str | None = None) -> "Recipe":
        """Load the recipe of --config, else `default`, else the baseline, with the overrides applied."""
        from normbench.config import load_recipe
        from normbench.norms import canonical_name

        return load_recipe(self.get("config") or default or DEFAULT_RECIPE, overrides, canonical_name)

    def norms(self) -> tuple[str, ...]:
        """Norms of --norms, of the assignment (--all), or all built-in ones (--every); empty if none was typed.

        Raises:
            UsageError: Several of these flags were typed, or --norms names no norm.
        """
        selection = list(self.typed("norm", "all", "norms", "every"))
        if len(selection) > 1:
            raise UsageError(f"--{selection[0]} and --{selection[1]} exclude each other")
        if self["all"]:
            return ASSIGNMENT
        if self["every"]:
            from normbench.norms import NORMS

            return tuple(NORMS)
        from normbench.norms import canonical_name

        names = self.names("norms", "--norms names no norm", "For example: --norms bn,gn; see `normbench norms`.")
        return tuple(dict.fromkeys(map(canonical_name, names)))

    def norm_name(self, flag: str) -> str | None:
        """Canonical name of the norm that a flag gives; None if it was not typed.

        Raises:
            UsageError: An argument of the norm does not fit; an unknown name is left to the command.
        """
        from normbench.config.norm_names import NormName
        from normbench.norms import NORMS, canonical_name

        text = self[flag]
        if text is None:
            return None
        name = NormName.parse(text)
        return canonical_name(text) if name.is_custom or name.base in NORMS else str(name)

    def names(self, flag: str, empty: str, hint: str) -> tuple[str, ...]:
        """Names of a comma-separated flag, each once; empty if it was not typed.

        Commas in parentheses belong to the arguments of a norm.

        Raises:
            UsageError: The flag was typed, and names nothing.
        """
        if self[flag] is None:
            return ()
        from normbench.config.norm_names import split_names

        names = split_names(self[flag])
        if not names:
            raise UsageError(empty, hint)
        return names

    def numbers(self, name: str) -> tuple[float, ...]:
        """Numbers of a comma-separated flag, each once; empty if it was not typed.

        Raises:
            UsageError: One is no number, or there are too many.
        """
        if self[name] is None:
            return ()
        try:
            numbers = _several(self[name], number)
        except ValueError as error:
            raise UsageError(
                f"{_flag(name)} {shortened(self[name])}: not a number, nor comma-separated numbers"
            ) from error
        if len(numbers) > MOST_VALUES:
            raise UsageError(f"{_flag(name)}: {len(numbers):,} values; at most {MOST_VALUES} are allowed")
        return numbers

    def number(self, name: str) -> float:
        """Number of a flag that accepts several in `compare` alone.

        Raises:
            UsageError: There are several, or none.
        """
        numbers = self.numbers(name)
        if len(numbers) != 1:
            raise UsageError(
                f"{_flag(name)} takes one value here", f"`normbench compare {_flag(name)} A,B,C` tries several."
            )
        return numbers[0]

    def whole_numbers(self, name: str) -> tuple[int, ...]:
        """Integers of a comma-separated flag, each once, in ascending order.

        Raises:
            UsageError: One is no integer.
        """
        try:
            return tuple(sorted(_several(self[name], whole)))
        except ValueError as error:
            raise UsageError(
                f"{_flag(name)} {shortened(self[name])}: not an integer, nor comma-separated integers",
                "For example: 2,8,32",
            ) from error

    def shard(self) -> tuple[int, int] | None:
        """Part of the plan that --shard names, as (I, N); None for the whole plan.

        Raises:
            UsageError: It is not of the form I/N with I from 1 to N.
        """
        text = self.get("shard")
        if text is None:
            return None
        try:
            part, parts = map(whole, text.split("/"))
        except ValueError:
            part = parts = 0
        if not 1 <= part <= parts <= MOST_PARTS:
            raise UsageError(
                f"--shard {shortened(text)}: not of the form I/N with I from 1 to N", "For example: --shard 1/4"
            )
        return part, parts

    def margin(self) -> float:
        """Equivalence margin as a fraction; --margin is in percentage points.

        Raises:
            UsageError: It is out of bounds.
        """
        from normbench.analysis import MARGIN

        if self["margin"] is None:
            return MARGIN
        if not 0 < self["margin"] <= 100:
            raise UsageError(f"--margin {self['margin']:g}: percentage points, above 0 and up to 100")
        return float(self["margin"]) / 100

    @property
    def max_params(self) -> int:
        """Parameter budget: --max-params, or the benchmark's."""
        from normbench.config import PARAMETER_BUDGET

        return PARAMETER_BUDGET if self["max_params"] is None else int(self["max_params"])

    def _value(self, name: str) -> Any:
        return self.number(name) if name in {"lr", "weight_decay"} else self[name]

    def machine(self) -> "MachineConfig":
        """Machine settings: flags over `NORMBENCH_*` over defaults."""
        from normbench.config import MachineConfig

        settings = self.typed(*MACHINE_FLAGS)
        if settings.pop("no_capture", False):
            settings["capture"] = False
        return MachineConfig.resolve(settings)

    def planning_machine(self) -> "MachineConfig":
        """Machine settings of a command with --dry-run, which downloads nothing."""
        return self.machine().model_copy(update={"offline": True}) if self["dry_run"] else self.machine()

    def callback(self, progress: "Callback") -> "Callback":
        """The console's progress, and beside it the tracker of --track."""
        if self["track"] is None:
            return progress
        from normbench.tracking import tracked

        return tracked(progress, self["track"])

    def permission(self) -> "Permission":
        """Custom code that may run to read a run's weights: of --norm and --network, or with --trust the folder's."""
        from normbench.runs import Permission

        return Permission(self["norm"], bool(self["trust"]), self["network"])

    def output(self) -> "Output":
        """The output in the mode of --json or --quiet."""
        from normbench.console import Output

        return Output("json" if self["json"] else "quiet" if self["quiet"] else "human")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _put(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *sections, key = path
    for section in sections:
        settings = settings.setdefault(section, {})
        if not isinstance(settings, dict):
            raise UsageError(f"--set {section}={settings}: {section} is a section; give its keys, as {'.'.join(path)}")
    settings[key] = value


def _parse_assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """Parse `training.lr=0.1` into path and value; the value is read as TOML, or as text where it is no TOML."""
    path: tuple[str, ...]
    if one_norm := ONE_NORM.fullmatch(text):
        equals, path = "=", ("norm", one_norm["norm"].strip("\"' "), one_norm["key"])
        value = one_norm["value"]
    else:
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path) or len(path) > MOST_KEY_PARTS:
        raise UsageError(
            f"--set {shortened(text)}: not of the form KEY=VALUE", "For example: --set training.momentum=0.95"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # no TOML: a bare word, or a list of a thousand lists
        parsed = {"value": value}
    return path, parsed["value"] if parsed.keys() == {"value"} else value
