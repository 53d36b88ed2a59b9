"""Shape of every study: a record, settings that are its flags, and the context that it runs in."""

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
    "config", "set", "network", "groups", "epochs", "batch_size", "lr", "weight_decay", "precision", "seed",
    "deterministic",
)  # fmt: skip
"""Flags that change the recipe of a study that has one."""
DATA_FLAGS = ("dataset", "subset", "data_dir", "offline")
FOLDER_FLAGS = ("device", "out", "name")


@dataclass(frozen=True)
class Flag:
    """Presentation of a settings field on the command line; the field's description is its help.

    A field without a description is a flag that other commands share, and takes its help from there.
    """

    panel: Literal["What to run", "Training", "Data"] = "What to run"
    metavar: str | None = None
    name: str | None = None
    """Name of the flag, if it is not that of the field."""
    hidden: bool = False
    """True for a field of the Python API without a flag."""


@dataclass
class StudyContext(ABC):
    """Context of a study: the machine, overrides of the recipe, training, and messages.

    The command line and the Python API implement it.
    """

    machine: MachineConfig
    experiment: str
    """Folder of the result under `machine.out`; a study that trains may get another one."""
    recipe: str | None = None
    """Name or path of the recipe; None for the default of the study."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Nested settings that override the recipe, as `load_recipe` takes them."""
    leave_out_oversized: bool = False
    """True to leave out a norm over the parameter budget instead of refusing it."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Report progress; called from several threads."""

    @abstractmethod
    def warn(self, text: str) -> None:
        """Report a deviation from the request."""

    @abstractmethod
    def downloading(self) -> "AbstractContextManager[OnDownload | None]":
        """Enclose a possible download; the value receives its progress, None ignores it."""

    def load_recipe(self, default: str | None, settings: Mapping[str, Any] | None = None) -> "Recipe":
        """Load the recipe of the request, else `default`, else `baseline`, with the overrides, then `settings`.

        Raises:
            UsageError: There is no such recipe, or a setting is invalid.
        """
        from normbench.config import load_recipe
        from normbench.norms import canonical_name, existing_name

        return load_recipe(
            self.recipe or default or "baseline", _merged(self.overrides, settings or {}), canonical_name, existing_name
        )

    @property
    def planning_machine(self) -> MachineConfig:
        """Machine for a plan: one that downloads nothing where nothing is to be trained."""
        return self.machine

    def load_trained_recipe(self, default: str | None, settings: Mapping[str, Any] | None = None) -> "Recipe":
        """Load the recipe as `load_recipe` does, or its fallback where `auto` does not find CIFAR-10.

        Raises:
            UsageError: There is no such recipe, or a setting is invalid.
        """
        from normbench import data
        from normbench.config.recipes import replaced_by

        recipe = self.load_recipe(default, settings)
        if recipe.fallback is None:
            return recipe
        with self.downloading() as on_download:
            choice = data.settle(recipe.data, self.planning_machine, on_download)
        if not choice.cause:
            return recipe
        self.warn(replaced_by(recipe.fallback))
        return recipe.replacement()

    def load_data(self, config: "DataConfig") -> "DataSet":
        """Load images onto the device; CIFAR-10 is downloaded if it is missing.

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
    def train(
        self, configs: "Sequence[RunConfig]", recipe: "Recipe", *, finished: bool = False
    ) -> "tuple[Plan, list[RunResult]]":
        """Plan and execute the runs of a recipe in the study's experiment.

        Args:
            configs: Runs.
            recipe: Settings that they share.
            finished: Train nothing: the plan is that of the runs that are finished already.

        Returns:
            The plan, and the results in the order of its configs.
        """


def _merged(settings: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested settings, section by section; those of `over` win."""
    sections = {
        key: _merged(settings[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)
    }
    return {**settings, **over, **sections}


def _success(_result: "StudyResult") -> int:
    return 0


def _no_suffix(_settings: Any) -> str:
    return ""


@dataclass(frozen=True)
class Study(Generic[Settings]):
    """Command that measures one property of norms; its flags are the fields of its settings, and shared ones."""

    name: str
    """Name of the command, and of the folder under --out."""
    question: str
    help: str
    """Help of the command, after the question."""
    settings: type[Settings]
    run: Callable[[Settings, StudyContext], "StudyResult"]
    recipe: str | None = None
    """Default recipe of its trainings."""
    flags: tuple[str, ...] = FOLDER_FLAGS
    """Shared flags in addition to those of the settings: of the recipe, the data and the machine."""
    variant: Callable[[Settings], str] = _no_suffix
    """Returns the suffix of the folder for settings with a separate one, else the empty string."""
    exit_code: Callable[["StudyResult"], int] = _success
    """Returns the exit code of the command for a result."""

    @property
    def keeps_runs(self) -> bool:
        """True if it trains a plan of runs, whose experiment has the question of their recipe."""
        return "dry_run" in self.flags
