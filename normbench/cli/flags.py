"""Flags and arguments, each declared once; one that stands for a setting takes help, choices and default from there.

The options of a command (`normbench.cli.options`) are dataclasses whose fields have these types.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types
from pydantic.fields import FieldInfo

from normbench.cli import completion
from normbench.cli.completion import Names
from normbench.cli.parsing import check_experiment, parse_shard
from normbench.config import MachineConfig, Recipe, RunConfig
from normbench.config.machine import VARIABLES, variable
from normbench.config.recipes import DEFAULT_RECIPE

RUN, TRAINING, DATA, MACHINE, OUTPUT = "What to run", "Training", "Data", "Machine", "Output"
PANELS = (RUN, TRAINING, DATA, MACHINE, OUTPUT)
"""Panels of the help, from top to bottom."""


@dataclass(frozen=True)
class Flag:
    """Presentation of a flag, and the setting that it stands for; its spelling follows from the name of the field."""

    text: str
    panel: str
    metavar: str | None = None
    """Name of the value in the help; None takes that of the type."""
    letter: str | None = None
    """Short spelling, such as `-q`."""
    setting: str | None = None
    """Key of a recipe that the flag overrides, such as `training.lr`."""
    default: str = ""
    """Default as text."""
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None
    """Smallest and largest value of an integer."""
    variable: str | None = None
    """Environment variable that applies if the flag is not typed."""
    example: str = ""
    """Value for the hint of an error."""
    parse: Callable[[str], Any] | None = None
    """Parser of the value, in place of the one for its type."""
    complete: Names | None = None
    """Names that a shell completes; those of the choices, where there are some."""

    @property
    def help(self) -> str:
        """Text with choices, variable and default."""
        notes = [
            f"{', '.join(self.choices[:-1])} or {self.choices[-1]}" if self.choices else "",
            f"env: {self.variable}" if self.variable else "",
            f"default: {self.default}" if self.default else "",
        ]
        return f"{self.text} [{'; '.join(filter(None, notes))}]" if any(notes) else self.text

    def of_field(self, field: FieldInfo) -> "Flag":
        """Return the flag with the choices, bounds and default of a setting."""
        bounds = _bounds((field.annotation, *field.metadata))
        return replace(self, choices=_choices(field.annotation), bounds=bounds, default=_default(field.default))


@dataclass(frozen=True)
class Argument:
    """Presentation of a positional argument."""

    text: str
    metavar: str
    complete: Names | None = None
    """Names that a shell completes."""


@dataclass(frozen=True)
class Parameter:
    """A flag or argument of a command, by the name of its field."""

    kind: Any
    """Type of a value: `bool` for a switch, else `str`, `int`, `float`, `Path`, or a tuple or list of one of them."""
    presentation: Flag | Argument
    required: bool = False

    @classmethod
    def of(cls, annotation: Any, presentation: Flag | Argument) -> "Parameter":
        """Make a parameter of the type of a field, which allows None unless it is a switch or required."""
        if get_origin(annotation) is not UnionType:
            return cls(annotation, presentation, required=annotation is not bool)
        return cls(next(kind for kind in get_args(annotation) if kind is not NoneType), presentation)

    @property
    def panel(self) -> int:
        """Position of its panel in the help: arguments come before the flags."""
        return -1 if isinstance(self.presentation, Argument) else PANELS.index(self.presentation.panel)

    def with_default(self, default: str) -> "Parameter":
        """Return the parameter with another default in its help."""
        assert isinstance(self.presentation, Flag), "an argument has no default"
        return replace(self, presentation=replace(self.presentation, default=default))


def parameters(options: type) -> dict[str, Parameter]:
    """Return the flags and arguments of a dataclass of options, by name, those of the most derived class first."""
    hints = get_type_hints(options, include_extras=True)
    names = dict.fromkeys(name for base in options.__mro__ for name in inspect.get_annotations(base))
    return {name: Parameter.of(*get_args(hints[name])) for name in names}


def _choices(annotation: Any) -> tuple[str, ...]:
    """Names among which a setting chooses, None aside; empty for one that is not a choice."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType, Annotated) else ()
    return next((choices for part in parts if (choices := _choices(part))), ())


def _bounds(constraints: tuple[Any, ...]) -> tuple[int, int] | None:
    """Inclusive bounds among the parts of an annotation; None where either is missing."""
    parts = list(constraints)
    for part in parts:  # grows on the way
        parts += getattr(part, "metadata", ()) if isinstance(part, FieldInfo) else get_args(part)
    low = next((part.ge for part in parts if isinstance(part, annotated_types.Ge)), None)
    high = next((part.le for part in parts if isinstance(part, annotated_types.Le)), None)
    return (low, high) if isinstance(low, int) and isinstance(high, int) else None


def _default(value: Any) -> str:
    """Default of a setting as it is typed; empty for None and for switches."""
    if value is None or isinstance(value, bool):
        return ""
    values = value if isinstance(value, tuple) else (value,)
    return ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in values)


def recipe_setting(
    key: str, panel: str, note: str = "", metavar: str | None = None, complete: Names | None = None
) -> Flag:
    """Make the flag of a recipe's setting; the recipe holds the default, so the help states none.

    Args:
        key: Key of the setting, such as `training.lr`.
        panel: Panel of the help.
        note: Sentence after the setting's description.
        metavar: Name of the value.
        complete: Names that a shell completes.
    """
    *sections, name = key.split(".")
    model = reduce(lambda model, section: model.model_fields[section].annotation, sections, Recipe)  # type: ignore[arg-type, return-value]
    field = model.model_fields[name]
    flag = Flag(f"{field.description} {note}".rstrip(), panel, metavar, setting=key, complete=complete)
    return replace(flag.of_field(field), default="")


def machine_setting(name: str, panel: str, complete: Names | None = None) -> Flag:
    """Make the flag of a machine setting."""
    field = MachineConfig.model_fields[name]
    flag = Flag(field.description or "", panel, complete=complete).of_field(field)
    return replace(flag, variable=variable(name) if name in VARIABLES else None)


# Networks and norms
Norm = Annotated[
    str | None,
    Flag(
        "Norm (see `normbench norms`), file.py:factory or package.module:factory; +ws adds weight standardization.",
        RUN,
        "NORM",
        complete=completion.norms,
    ),
]
Norms = Annotated[
    tuple[str, ...] | None,
    Flag(
        "Norms, separated by commas: bn,gn,ln.",
        RUN,
        example="bn,gn; see `normbench norms`",
        complete=completion.norms,
    ),
]
All = Annotated[bool, Flag("The norms of the assignment: bn, gn and ln.", RUN)]
Every = Annotated[bool, Flag("Every built-in norm.", RUN)]
Control = Annotated[
    str | None,
    Flag("Norm that the others are compared with.", RUN, "NORM", default="the first", complete=completion.norms),
]
Network = Annotated[str | None, recipe_setting("network.name", RUN, metavar="NETWORK", complete=completion.networks)]
Config = Annotated[
    str | None,
    Flag(
        "Recipe (see `normbench recipes`) or TOML file, whose settings the other flags override.",
        RUN,
        "RECIPE",
        default=DEFAULT_RECIPE,
        complete=completion.recipes,
    ),
]
Set = Annotated[
    list[str] | None,
    Flag(
        "Any setting of a recipe, as training.momentum=0.95; may be repeated.",
        RUN,
        "KEY=VALUE",
        complete=completion.settings,
    ),
]
Groups = Annotated[int | None, recipe_setting("groups", RUN)]
MaxParams = Annotated[
    int | None,
    Flag(RunConfig.model_fields["max_params"].description or "", RUN).of_field(RunConfig.model_fields["max_params"]),
]

# Training
Epochs = Annotated[int | None, recipe_setting("training.epochs", TRAINING)]
BatchSize = Annotated[int | None, recipe_setting("training.batch_size", TRAINING)]
LearningRate = Annotated[float | None, recipe_setting("training.lr", TRAINING)]
LearningRates = Annotated[
    tuple[float, ...] | None, recipe_setting("training.lr", TRAINING, "Several, with commas, are searched.")
]
WeightDecay = Annotated[float | None, recipe_setting("training.weight_decay", TRAINING)]
WeightDecays = Annotated[
    tuple[float, ...] | None, recipe_setting("training.weight_decay", TRAINING, "Several, with commas, are searched.")
]
Precision = Annotated[str | None, recipe_setting("training.precision", TRAINING)]
Seed = Annotated[int | None, recipe_setting("seed", TRAINING)]
Seeds = Annotated[int | None, recipe_setting("seeds", TRAINING)]
Deterministic = Annotated[bool, recipe_setting("deterministic", TRAINING)]

# Data
Dataset = Annotated[str | None, recipe_setting("data.name", DATA, complete=completion.data_sets)]
Subset = Annotated[int | None, recipe_setting("data.subset", DATA)]
ValSplit = Annotated[float | None, recipe_setting("data.val_split", DATA)]
DataDir = Annotated[Path | None, machine_setting("data_dir", DATA)]
Offline = Annotated[bool, machine_setting("offline", DATA)]
Fetch = Annotated[bool, Flag("Download CIFAR-10 into --data-dir, or the cache.", DATA)]
Images = Annotated[
    Path | None, Flag("Folder of pictures to classify; sub-folders named after classes are labels.", DATA)
]

# Machine and run folders
Device = Annotated[str | None, machine_setting("device", MACHINE, complete=completion.devices)]
Out = Annotated[Path | None, machine_setting("out", MACHINE)]
Force = Annotated[bool, machine_setting("force", MACHINE)]
Jobs = Annotated[int | None, machine_setting("jobs", MACHINE)]
Engine = Annotated[str | None, machine_setting("engine", MACHINE)]
Address = Annotated[
    str | None, replace(machine_setting("address", MACHINE), metavar="HOST:PORT", variable="RAY_ADDRESS")
]
Shard = Annotated[
    tuple[int, int] | None,
    Flag(
        "Train part I of N of the runs only, as a job of an array; without it, all are shown.",
        MACHINE,
        "I/N",
        parse=parse_shard,
    ),
]
NoCapture = Annotated[
    bool, Flag("On CUDA, launch every step kernel by kernel instead of repeating a captured one.", MACHINE)
]
Name = Annotated[
    str | None,
    Flag(
        "Name of the experiment, a folder under --out.",
        MACHINE,
        default="the recipe's",
        parse=check_experiment,
        complete=completion.experiments,
    ),
]
OfExperiment = Annotated[
    str | None,
    Flag("Only the runs of this experiment.", RUN, example="baseline", parse=check_experiment),
]
Track = Annotated[str | None, Flag("Live view of the runs.", MACHINE, choices=("tensorboard", "trackio", "wandb"))]
Trust = Annotated[
    bool,
    Flag("Run the code of a custom norm or network that the run folder keeps. Only for folders you trust.", MACHINE),
]
Remove = Annotated[
    bool, Flag("Remove what was archived and verified (with --restore: the archive, once restored).", MACHINE)
]
Restore = Annotated[bool, Flag("Write the archived runs back into folders.", MACHINE)]
NoWeights = Annotated[
    bool, Flag("Leave out the weights, which evaluate and export need; --remove deletes them.", MACHINE)
]
Yes = Annotated[bool, Flag("Actually delete; without it, only list.", MACHINE)]

# Advice
Task = Annotated[
    str | None,
    Flag(
        "Task of the network.",
        RUN,
        choices=(
            "vision", "detection", "segmentation", "medical", "video", "generation", "image-to-image", "style",
            "sequence", "online",
        ),
    ),
]  # fmt: skip
InputsPerStep = Annotated[int | None, Flag("Inputs in a step on one device.", TRAINING, default="32")]
Devices = Annotated[int | None, Flag("Devices that train together.", RUN, default="1")]
OfImages = Annotated[bool, Flag("The data are images, whatever the task.", RUN)]
OfSequences = Annotated[bool, Flag("The data are sequences, as the patches of a vision transformer.", RUN)]
Needs = Annotated[
    tuple[str, ...] | None,
    Flag(
        "Requirements, separated by commas, of: fold, streaming, agree, fast, export and pretrained.",
        RUN,
        example="fold,fast",
        complete=completion.needs,
    ),
]
Rules = Annotated[bool, Flag("List every rule and its evidence.", OUTPUT)]

# Output
Margin = Annotated[
    float | None, Flag("Percentage points within which norms count as alike.", OUTPUT, "PP", default="0.5")
]
Columns = Annotated[
    tuple[str, ...] | None,
    Flag("Columns of table.md and table.tex, with commas, such as test-accuracy.", OUTPUT, "COLUMNS", default="all"),
]
Format = Annotated[str | None, Flag("Format of the file.", OUTPUT, default="onnx")]
File = Annotated[Path | None, Flag("Path of the file.", OUTPUT, default="model.onnx in the run's folder")]
Picture = Annotated[
    Path | None, Flag("Write the picture of the axes that it averages over: .svg, .png or .pdf.", OUTPUT)
]
Gallery = Annotated[
    Path | None, Flag("Write one picture of all built-in norms side by side: .svg, .png or .pdf.", OUTPUT)
]
Example = Annotated[bool, Flag("Work out a batch of three inputs with four features, step by step.", OUTPUT)]
PrintConfig = Annotated[
    bool, Flag("Print the recipe of these flags as TOML for --config, with every setting; train nothing.", OUTPUT)
]
Show = Annotated[
    bool, Flag("Print the result that --out keeps, or else that of the documentation; measure nothing.", OUTPUT)
]
Torchinfo = Annotated[bool, Flag("Print torchinfo's tree of the modules, too.", OUTPUT)]
DryRun = Annotated[bool, Flag("List the runs without training any.", OUTPUT)]
Json = Annotated[bool, Flag("Print one JSON document on stdout.", OUTPUT)]
Quiet = Annotated[bool, Flag("Print the essential value only.", OUTPUT, letter="-q")]

# Arguments
Run = Annotated[str, Argument("Folder of a run, or its name under --out (a part will do).", "RUN", completion.runs)]
Experiment = Annotated[
    str, Argument("Folder of an experiment, or its name under --out.", "EXPERIMENT", completion.experiments)
]
NormName = Annotated[
    str | None, Argument("Built-in norm, or file.py:factory, each with or without +ws.", "NORM", completion.norms)
]
RecipeName = Annotated[str, Argument("Name of a built-in recipe, or a TOML file.", "RECIPE", completion.recipes)]
