"""Recipes: named TOML files that fix every training setting, for all norms or one by one."""

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr

from normbench.config.settings import (
    WEIGHT_STANDARDIZATION,
    DataConfig,
    Frozen,
    Groups,
    LearningRate,
    NetworkConfig,
    NormNames,
    Penalty,
    RunConfig,
    Seed,
    Seeds,
    SweepConfig,
    Switch,
    TrainingConfig,
)
from normbench.config.validation import user_path, validated
from normbench.errors import UsageError, nearest, unknown

PER_NORM_KEYS = frozenset({"lr", "weight_decay", "groups"})
MOST_RUNS = 10_000
COMMAND_LINE = "command line"
"""What an error names as the place of a setting that was not read from a file."""


class NormSettings(Frozen):
    """What one norm sets differently, under `[norm.NAME]`; None leaves the recipe's."""

    lr: LearningRate | None = None
    weight_decay: Penalty | None = None
    groups: Groups | None = None


class Recipe(Frozen):
    """Every setting of an experiment; `norm` holds what one norm sets differently, found by equal search."""

    norms: NormNames = ("bn", "gn", "ln")
    seeds: Seeds = 1
    seed: Seed = 0
    groups: Groups = 4
    deterministic: Switch = False
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    sweep: SweepConfig = SweepConfig()
    norm: dict[str, NormSettings] = Field(default_factory=dict)
    _found: dict[str, tuple[float, float]] = PrivateAttr(default_factory=dict)
    """Learning rate and weight decay of each norm that has a rate of its own, as in the file, before any override."""

    def model_post_init(self, _context: Any, /) -> None:
        """Take what the recipe states for single norms as found by its search."""
        self._found = {norm: self._rates(norm) for norm, own in self.norm.items() if own.lr is not None}

    def overridden(self, settings: dict[str, Any]) -> "Recipe":
        """The recipe of other settings, which keeps what this one's search has found.

        Raises:
            UsageError: A setting does not fit.
        """
        recipe = validated(Recipe, settings, COMMAND_LINE)
        recipe._found = self._found
        return recipe

    def _own(self, norm: str) -> dict[str, Any]:
        """What one norm sets differently; with weight standardization first what its base norm does."""
        names = (norm.removesuffix(WEIGHT_STANDARDIZATION), norm)
        sections = [self.norm[name].model_dump(exclude_none=True) for name in names if name in self.norm]
        return {key: value for section in sections for key, value in section.items()}

    def _rates(self, norm: str) -> tuple[float, float]:
        own = self._own(norm)
        return own.get("lr", self.training.lr), own.get("weight_decay", self.training.weight_decay)

    def run(self, norm: str, seed: int, **extra: Any) -> RunConfig:
        """The run of one norm and seed: the recipe's settings, then those under `[norm.NAME]`."""
        own = self._own(norm)
        training = self.training.model_dump() | {k: v for k, v in own.items() if k != "groups"}
        settings = {
            "groups": own.get("groups", self.groups),
            "deterministic": self.deterministic,
            "tuned": self._found.get(norm) == self._rates(norm),
        } | extra
        return validated(
            RunConfig,
            {"norm": norm, "seed": seed, "network": self.network, "data": self.data, "training": training} | settings,
            "settings",
        )


def recipe_folder() -> Path:
    """The folder of the recipes that come with normbench: in the wheel, else at the top of the checkout."""
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def recipe_names() -> list[str]:
    """Names that `--config` takes, besides any TOML file's path."""
    return sorted(path.stem for path in recipe_folder().glob("*.toml"))


def recipe_path(name: str) -> Path:
    """The file of a recipe's name, or of a path to a TOML file.

    Raises:
        UsageError: There is neither a recipe nor a file of that name.
    """
    if name in recipe_names():
        return recipe_folder() / f"{name}.toml"
    path = user_path(name, "--config")
    if path.suffix.lower() == ".toml" or path.parent != Path():
        if path.is_file():
            return path
        raise UsageError(f"no recipe file at {path}", f"Recipes that come along: {', '.join(recipe_names())}.")
    raise unknown("recipe", name, recipe_names())


def recipe_header(path: Path) -> str:
    """The comment at the head of a recipe: what it is for and what it reaches."""
    lines = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)


def load_recipe(
    name: str, overrides: dict[str, Any] | None = None, known_norms: Collection[str] | None = None
) -> Recipe:
    """Read a recipe and lay overrides over it: nested as the TOML is, `{"training": {"lr": 0.1}}`.

    An override of a per-norm key (`lr`, `weight_decay`, `groups`) wins over `[norm.NAME]` too: a flag beats
    the file, whichever line of the file it was. An override for one norm, under `norm`, moves that norm alone.

    Args:
        name: Of a recipe, or the path of a TOML file.
        overrides: Settings that win over the file's.
        known_norms: The registered norms: other names under `norm` are refused, but for custom norms, which stand there
            as they are typed. None takes every name.

    Raises:
        UsageError: There is no such recipe, or a key or value in it or in the overrides does not fit.
    """
    path = recipe_path(name)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError of its own
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UsageError(f"{path}: not valid TOML: {reason}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    _check_per_norm(settings, str(path), known_norms)
    recipe = validated(Recipe, settings, str(path))
    if not overrides:
        return recipe
    _check_per_norm(overrides, COMMAND_LINE, known_norms)
    given = _leaves({key: value for key, value in overrides.items() if key != "norm"})
    for own in settings.get("norm", {}).values():
        for key in given & own.keys():
            del own[key]
    merged = _merge(settings, overrides)
    if recipe.data.name != "digits" and _chooses_digits(overrides):
        merged["data"].pop("subset", None)  # it was of another data set: all digits, as where `auto` falls back to them
    return recipe.overridden(merged)


def _chooses_digits(overrides: dict[str, Any]) -> bool:
    """Whether the digits are asked for, and nothing is said of how many."""
    data = overrides.get("data", {})
    return isinstance(data, dict) and data.get("name") == "digits" and "subset" not in data


def check_count(runs: int) -> None:
    """Refuse a plan of more runs than anybody can mean.

    Raises:
        UsageError: There are more.
    """
    if runs > MOST_RUNS:
        raise UsageError(
            f"{runs:,} runs in one plan; at most {MOST_RUNS:,} are possible", "Name fewer values or seeds."
        )


def _check_per_norm(settings: dict[str, Any], where: str, known_norms: Collection[str] | None) -> None:
    sections = settings.get("norm", {})
    if not isinstance(sections, dict) or not all(isinstance(own, dict) for own in sections.values()):
        raise UsageError(f"{where}: settings of one norm stand under [norm.NAME]")
    for norm, own in sections.items():
        if known_norms is not None and not _is_norm(norm, known_norms):
            close = nearest(norm.removesuffix(WEIGHT_STANDARDIZATION), known_norms)
            raise UsageError(
                f"{where}: unknown norm '{norm}' in [norm.{norm}]",
                f"{close} A custom norm stands there as it is typed: file.py:factory.",
            )
        for key in own:
            if key not in PER_NORM_KEYS:
                raise UsageError(f"{where}: unknown key '{key}' in [norm.{norm}]", nearest(key, PER_NORM_KEYS))


def _is_norm(name: str, known: Collection[str]) -> bool:
    base = name.removesuffix(WEIGHT_STANDARDIZATION)
    source, colon, factory = base.rpartition(":")
    return base in known or bool(source and colon and factory)


def _leaves(settings: dict[str, Any]) -> set[str]:
    return {leaf for key, value in settings.items() for leaf in (_leaves(value) if isinstance(value, dict) else {key})}


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
