"""The shape of every study: a record, settings that are its flags, and the surroundings that it runs in."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from normbench.config import MachineConfig
from normbench.config.settings import Frozen

if TYPE_CHECKING:
    from normbench.analysis import StudyResult
    from normbench.config import DataConfig, Recipe, RunConfig
    from normbench.data import DataSet, OnDownload
    from normbench.engine import Plan
    from normbench.runs import RunResult

Settings = TypeVar("Settings", bound=Frozen)

RECIPE_FLAGS = (
    "config", "set", "network", "groups", "epochs", "batch_size", "lr", "weight_decay", "seed", "deterministic",
)  # fmt: skip
"""Flags that change the recipe of a study that trains by one."""
DATA_FLAGS = ("dataset", "subset", "data_dir", "offline")
FOLDER_FLAGS = ("device", "out", "name")


@dataclass(frozen=True)
class Flag:
    """Presentation of a settings field on the command line; the field's description is its help.

    A field without one is a flag that other commands share, and takes its help from there.
    """

    panel: Literal["What to run", "Training", "Data"] = "What to run"
    metavar: str | None = None
    name: str | None = None
    """Of the flag, where it is not that of the field."""
    hidden: bool = False
    """Leave the field to Python: there is no flag."""


@dataclass
class StudyContext(ABC):
    """Surroundings of a study: the machine, the recipe's overrides, and the messages on the way.

    The command line and the Python API each have their own: how runs are trained, and where messages go.
    """

    machine: MachineConfig
    experiment: str
    """Folder under `machine.out` that the result goes to; a study that trains may be given another one."""
    recipe: str | None = None
    """Name or path of the recipe, None for the study's own."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings over the recipe, as `load_recipe` takes them."""
    leave_out_oversized: bool = False
    """Leave out a norm that breaks the parameter budget instead of refusing it."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Report progress; called by several threads."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """Report a change of what was asked for."""

    @abstractmethod
    def downloading(self) -> "AbstractContextManager[OnDownload | None]":
        """Enclose loading that may download; the value receives the download's progress, None ignores it."""

    def load_recipe(self, default: str | None, own: Mapping[str, Any] | None = None) -> "Recipe":
        """Load the recipe that was asked for, else `default`, else `baseline`, with the overrides and the study's own.

        Raises:
            UsageError: There is no such recipe, or a setting does not fit.
        """
        from normbench.config import load_recipe
        from normbench.norms import canonical_name

        return load_recipe(self.recipe or default or "baseline", _merged(self.overrides, own or {}), canonical_name)

    def load_data(self, config: "DataConfig") -> "DataSet":
        """Load images onto the device; CIFAR-10 is downloaded where it is missing.

        Raises:
            DataError: The data set is not available.
        """
        from normbench import data
        from normbench.device import resolve_device

        with self.downloading() as on_download:
            choice = data.settle(config, self.machine, on_download)
            if choice.reason:
                self.warn(choice.reason)
            return data.load(choice.config, self.machine, resolve_device(self.machine.device), on_download)

    @abstractmethod
    def train(self, configs: "Sequence[RunConfig]", recipe: "Recipe") -> "tuple[Plan, list[RunResult]]":
        """Plan and execute the runs of a recipe in the study's experiment.

        Returns:
            The plan, and the results in the order of its configs.
        """


def _merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others laid over them, section by section."""
    sections = {
        key: _merged(settings[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)
    }
    return {**settings, **over, **sections}


def _always_done(_result: "StudyResult") -> int:
    return 0


def _one_folder(_settings: Any) -> str:
    return ""


@dataclass(frozen=True)
class Study(Generic[Settings]):
    """A command that measures one property of norms; its flags are the fields of its settings, and shared ones."""

    name: str
    """The command, and the folder under --out."""
    question: str
    help: str
    """Of the command, after the question."""
    settings: type[Settings]
    run: Callable[[Settings, StudyContext], "StudyResult"]
    recipe: str | None = None
    """The recipe by which it trains unless another is asked for."""
    flags: tuple[str, ...] = FOLDER_FLAGS
    """Shared flags beside those of the settings: of the recipe, the data and the machine."""
    variant: Callable[[Settings], str] = _one_folder
    """Suffix of the folder for settings that are kept apart, empty for those of the usual folder."""
    exit_code: Callable[["StudyResult"], int] = _always_done
