"""Options of the commands: typed values of the flags, and the recipe, machine, output and callback they stand for.

Each command has a dataclass of its options, made of those below; None is the value of a flag that was not typed.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normbench.cli import flags
from normbench.cli.flags import Flag
from normbench.cli.parsing import parse_assignment
from normbench.config import PARAMETER_BUDGET, MachineConfig
from normbench.config.recipes import DEFAULT_RECIPE
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.config import Recipe
    from normbench.console import Output
    from normbench.engine import Callback
    from normbench.runs import Permission

ASSIGNMENT = ("bn", "gn", "ln")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every command: the mode of its output, and any machine settings."""

    json: flags.Json = False
    quiet: flags.Quiet = False

    def output(self) -> "Output":
        """Return the output in the mode of --json or --quiet."""
        from normbench.console import Output

        return Output("json" if self.json else "quiet" if self.quiet else "human")

    def load_torch(self) -> None:
        """Import torch, which takes seconds, and show that meanwhile."""
        from importlib import import_module

        with self.output().waiting("loading torch"):
            import_module("torch")

    def machine(self) -> MachineConfig:
        """Return the machine settings: flags over `NORMBENCH_*` over defaults.

        Raises:
            UsageError: A setting does not fit.
        """
        names = (field.name for field in fields(self) if field.name in MachineConfig.model_fields)
        return MachineConfig.resolve({name: value for name in names if is_typed(value := getattr(self, name))})


def is_typed(value: object) -> bool:
    """Test if a flag was typed, by its value."""
    return value is not None and value is not False


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(Options):
    """Options that select several norms."""

    norms: flags.Norms = None
    all: flags.All = False
    every: flags.Every = False

    def selected_norms(self) -> tuple[str, ...]:
        """Return the norms of --norms, those of --all or of --every by canonical name; empty if none was typed.

        Raises:
            UsageError: Several of these flags were typed, or --norms has the name of no norm.
        """
        check_exclusive({"--all": self.all, "--norms": self.norms, "--every": self.every})
        if self.all:
            return ASSIGNMENT
        from normbench.norms import NORMS, canonical_name

        return tuple(NORMS) if self.every else tuple(dict.fromkeys(map(canonical_name, self.norms or ())))


def check_exclusive(values: dict[str, object]) -> None:
    """Refuse flags of which only one may be typed.

    Raises:
        UsageError: Several were.
    """
    typed = [flag for flag, value in values.items() if is_typed(value)]
    if len(typed) > 1:
        raise UsageError(f"{typed[0]} and {typed[1]} exclude each other")


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(Options):
    """Options of a network: a recipe, and settings that override it."""

    network: flags.Network = None
    config: flags.Config = None
    set: flags.Set = None
    groups: flags.Groups = None
    max_params: flags.MaxParams = None

    @property
    def budget(self) -> int:
        """Parameter budget: --max-params, or the benchmark's."""
        return PARAMETER_BUDGET if self.max_params is None else self.max_params

    def overrides(self) -> dict[str, Any]:
        """Return nested settings over a recipe: of --set, and of the flags that stand for settings, which win.

        Several values of one setting are a grid, and override nothing.

        Raises:
            UsageError: --set is not of the form KEY=VALUE.
        """
        settings: dict[str, Any] = {}
        for text in self.set or ():
            _put(settings, *parse_assignment(text))
        for name, key in setting_keys(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, tuple):
                value = value[0] if len(value) == 1 else None
            if is_typed(value):
                _put(settings, tuple(key.split(".")), value)
        return settings

    def load_recipe(self, overrides: dict[str, Any]) -> "Recipe":
        """Load the recipe of --config, or the default one, with overrides applied."""
        from normbench.config import load_recipe
        from normbench.norms import canonical_name, existing_name

        return load_recipe(self.config or DEFAULT_RECIPE, overrides, canonical_name, existing_name)


def setting_keys(options: type[Options]) -> dict[str, str]:
    """Keys of the recipe settings that flags stand for, by the names of the flags."""
    presentations = {name: parameter.presentation for name, parameter in flags.parameters(options).items()}
    return {name: flag.setting for name, flag in presentations.items() if isinstance(flag, Flag) and flag.setting}


def _put(settings: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *sections, key = path
    for section in sections:
        settings = settings.setdefault(section, {})
        if not isinstance(settings, dict):
            raise UsageError(f"--set {section}={settings}: {section} is a section; give its keys, as {'.'.join(path)}")
    settings[key] = value


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(NetworkOptions):
    """Options of commands that train."""

    epochs: flags.Epochs = None
    batch_size: flags.BatchSize = None
    precision: flags.Precision = None
    seed: flags.Seed = None
    deterministic: flags.Deterministic = False
    dataset: flags.Dataset = None
    subset: flags.Subset = None
    val_split: flags.ValSplit = None
    data_dir: flags.DataDir = None
    offline: flags.Offline = False
    device: flags.Device = None
    out: flags.Out = None
    force: flags.Force = False
    jobs: flags.Jobs = None
    engine: flags.Engine = None
    address: flags.Address = None
    no_capture: flags.NoCapture = False
    print_config: flags.PrintConfig = False
    name: flags.Name = None
    track: flags.Track = None
    dry_run: flags.DryRun = False

    @property
    def experiment(self) -> str:
        """Name of the experiment: --name, or the recipe's.

        Raises:
            UsageError: The recipe's name cannot be the name of a folder.
        """
        from normbench.config.validation import check_name

        recipe = self.config or DEFAULT_RECIPE
        return self.name or check_name(Path(recipe).stem, f"the recipe {recipe}")

    def machine(self) -> MachineConfig:
        """Return the machine settings, with --no-capture."""
        machine = super().machine()
        return machine.model_copy(update={"capture": False}) if self.no_capture else machine

    def planning_machine(self) -> MachineConfig:
        """Return the machine settings of a plan, which with --dry-run downloads nothing."""
        machine = self.machine()
        return machine.model_copy(update={"offline": True}) if self.dry_run else machine

    def callback(self, progress: "Callback") -> "Callback":
        """Return the console's progress, and the tracker of --track beside it."""
        if self.track is None:
            return progress
        from normbench.tracking import tracked

        return tracked(progress, self.track)


@dataclass(frozen=True, kw_only=True)
class PlanOptions(TrainingOptions):
    """Options of commands that train a plan of several runs."""

    seeds: flags.Seeds = None
    shard: flags.Shard = None


@dataclass(frozen=True, kw_only=True)
class SavedRunOptions(Options):
    """Options of commands that read a run's network."""

    run: flags.Run
    norm: flags.Norm = None
    network: flags.Network = None
    trust: flags.Trust = False
    out: flags.Out = None
    data_dir: flags.DataDir = None

    def permission(self) -> "Permission":
        """Return the custom code that may run: that of --norm and --network, or with --trust the run folder's."""
        from normbench.runs import Permission

        return Permission(self.norm, self.trust, self.network)


@dataclass(frozen=True, kw_only=True)
class ControlOptions(Options):
    """Options of a comparison with a control norm."""

    control: flags.Control = None
    margin: flags.Margin = None

    def control_norm(self) -> str | None:
        """Return the canonical name of the control norm, None if --control was not typed.

        Raises:
            UsageError: An argument of the norm does not fit; an unknown name is left to the command.
        """
        from normbench.config.norm_names import NormName
        from normbench.norms import NORMS, canonical_name

        if self.control is None:
            return None
        name = NormName.parse(self.control)
        return canonical_name(self.control) if name.is_custom or name.base in NORMS else str(name)

    def margin_fraction(self) -> float:
        """Return the equivalence margin as a fraction; --margin is in percentage points.

        Raises:
            UsageError: It is out of bounds.
        """
        from normbench.analysis import MARGIN

        if self.margin is None:
            return MARGIN
        if not 0 < self.margin <= 100:
            raise UsageError(f"--margin {self.margin:g}: percentage points, above 0 and up to 100")
        return self.margin / 100
