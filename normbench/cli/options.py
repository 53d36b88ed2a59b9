"""What the user typed, and what it means: settings over a recipe, the machine, the sink, the listener."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normbench.cli.values import number, several, whole
from normbench.errors import UsageError, shortened

if TYPE_CHECKING:
    from normbench.config import MachineConfig, Recipe
    from normbench.console import Output
    from normbench.runs import Callback, Permission

MACHINE_FLAGS = ("data_dir", "offline", "device", "out", "force", "fleet", "no_capture")

ASSIGNMENT = ("bn", "gn", "ln")
MOST_VALUES = 100
"""Of a flag that takes several."""
DEEPEST = 10
"""Parts that the key of --set may have."""

ONE_NORM = re.compile(r"\s*norm\s*\.(?P<norm>.+)\.\s*(?P<key>\w+)\s*=(?P<value>.*)", re.DOTALL)
"""A setting of one norm, as `norm.gn.lr=0.1`; the name of a custom norm has dots of its own."""

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
    "sizes": ("sweep", "batch_sizes"),
    "scaling": ("sweep", "lr_scaling"),
}


@dataclass(frozen=True)
class Options:
    """What the user typed: flags by name; a flag that was not typed is not in `values`."""

    values: dict[str, Any]
    subcommand: str | None = None
    """In a group of commands: the one that is called, which the group leaves the work to."""

    def __post_init__(self) -> None:
        """Refuse a name that can be none before anything is computed."""
        if self["name"] is not None:
            from normbench.config.validation import check_name

            check_name(self["name"], "--name")

    def __getitem__(self, name: str) -> Any:
        """The value of a flag, None if it was not given."""
        return self.values.get(name)

    @property
    def recipe(self) -> str:
        """The recipe asked for, or the default one."""
        return self["config"] or "baseline"

    @property
    def experiment(self) -> str:
        """The name of the experiment: the one that was given, or the recipe's.

        Raises:
            UsageError: It can be no name of a folder.
        """
        from normbench.config.validation import check_name

        if self["name"] is not None:
            return str(self["name"])
        return check_name(Path(self.recipe).stem, f"the recipe {self.recipe}")

    def study_experiment(self, study: str) -> str:
        """The name of a study's experiment: the one given, or the study's with the recipe's if one was asked for."""
        if self["name"] is not None:
            return self.experiment
        if self["config"] is None or self.experiment.startswith(study):
            return self.experiment if self["config"] else study
        return f"{study}-{self.experiment}"

    def overrides(self, *leave_out: str) -> dict[str, Any]:
        """The science flags as nested settings over a recipe; flags win over `--set`."""
        from normbench.config.validation import check_text

        settings: dict[str, Any] = {}
        for text in self["set"] or ():
            key, value = _assignment(check_text(text, "--set"))
            _put(settings, key, value)
        for name, place in PLACES.items():
            if name in self.values and name not in leave_out:
                _put(settings, place, self._value(name))
        return settings

    def load_recipe(self, overrides: dict[str, Any], default: str | None = None) -> "Recipe":
        """The recipe asked for, else `default`, else the baseline, with the overrides laid over it."""
        from normbench.config import load_recipe
        from normbench.norms import NORMS

        return load_recipe(self["config"] or default or self.recipe, overrides, NORMS)

    def norms(self) -> tuple[str, ...]:
        """The norms of --norms, of the assignment (--all), or all built-in ones (--every); empty if none is given."""
        asked = [flag for flag in ("norm", "all", "norms", "every") if self[flag] is not None]
        if len(asked) > 1:
            raise UsageError(f"--{asked[0]} and --{asked[1]} exclude each other")
        if self["all"]:
            return ASSIGNMENT
        if self["every"]:
            from normbench.norms import NORMS

            return tuple(NORMS)
        if self["norms"] is None:
            return ()
        return self.names("norms", "--norms names no norm", "For example: --norms bn,gn; see `normbench norms`.")

    def names(self, flag: str, empty: str, hint: str) -> tuple[str, ...]:
        """The names of a flag that takes several with commas, each once; empty if it was not given.

        Raises:
            UsageError: It was given, and names none.
        """
        if self[flag] is None:
            return ()
        names = tuple(dict.fromkeys(name.strip() for name in self[flag].split(",") if name.strip()))
        if not names:
            raise UsageError(empty, hint)
        return names

    def numbers(self, name: str) -> tuple[float, ...]:
        """The numbers of a flag that takes several with commas, each once; empty if it was not given."""
        try:
            numbers = several(self[name], number) if name in self.values else ()
        except ValueError as error:
            raise UsageError(f"{_flag(name)} {shortened(self[name])}: not a number, nor several with commas") from error
        if len(numbers) > MOST_VALUES:
            raise UsageError(f"{_flag(name)}: {len(numbers):,} values; at most {MOST_VALUES} can be tried")
        return numbers

    def number(self, name: str) -> float:
        """The one number of a flag that only `compare` takes several of."""
        numbers = self.numbers(name)
        if len(numbers) != 1:
            raise UsageError(
                f"{_flag(name)} takes one value here", f"`normbench compare {_flag(name)} A,B,C` tries several."
            )
        return numbers[0]

    def whole_numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of a flag that takes several with commas, each once, from small to large."""
        try:
            return tuple(sorted(several(self[name], whole)))
        except ValueError as error:
            raise UsageError(
                f"{_flag(name)} {shortened(self[name])}: not a whole number, nor several with commas",
                "For example: 2,8,32",
            ) from error

    def margin(self) -> float:
        """The difference within which norms may be called alike, as a fraction; it is given in percentage points."""
        from normbench.analysis import MARGIN

        if self["margin"] is None:
            return MARGIN
        if not 0 < self["margin"] <= 100:
            raise UsageError(f"--margin {self['margin']:g}: percentage points, above 0 and up to 100")
        return float(self["margin"]) / 100

    def _value(self, name: str) -> Any:
        if name == "sizes":
            return self.whole_numbers(name)
        return self.number(name) if name in {"lr", "weight_decay"} else self[name]

    def machine(self) -> "MachineConfig":
        """The machine settings: flags over `NORMBENCH_*` over defaults."""
        from normbench.config import MachineConfig

        given = {name: self[name] for name in MACHINE_FLAGS if name in self.values and name != "no_capture"}
        return MachineConfig.resolve(given | ({"capture": False} if self["no_capture"] else {}))

    def planning_machine(self) -> "MachineConfig":
        """The machine settings of a command that knows --dry-run, which downloads nothing."""
        return self.machine().model_copy(update={"offline": True}) if self["dry_run"] else self.machine()

    def listener(self, console: "Callback") -> "Callback":
        """The console, and beside it the tracker that was asked for."""
        if self["track"] is None:
            return console
        from normbench.tracking import tracked

        return tracked(console, self["track"])

    def permission(self) -> "Permission":
        """The code that may run to read a run's weights."""
        from normbench.runs import Permission

        return Permission(self["norm"], bool(self["trust"]))

    def output(self) -> "Output":
        """The sink in the mode that was asked for."""
        from normbench.console import Output

        return Output("json" if self["json"] else "quiet" if self["quiet"] else "human")


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
    place: tuple[str, ...]
    if one_norm := ONE_NORM.fullmatch(text):
        equals, place = "=", ("norm", one_norm["norm"].strip("\"' "), one_norm["key"])
        value = one_norm["value"]
    else:
        key, equals, value = text.partition("=")
        place = tuple(part.strip() for part in key.split("."))
    if not equals or not all(place) or len(place) > DEEPEST:
        raise UsageError(
            f"--set {shortened(text)}: not of the form KEY=VALUE", "For example: --set training.momentum=0.95"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # no TOML: a bare word, or a list of a thousand lists
        parsed = {"value": value}
    return place, parsed["value"] if parsed.keys() == {"value"} else value
