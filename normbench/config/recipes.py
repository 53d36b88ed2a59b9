"""Recipes: named TOML files of settings. They fix every training setting, for all norms or one by one."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from normbench.config.norm_names import NormName, canonical_text
from normbench.config.search import SearchSpace, ends
from normbench.config.settings import (
    DataConfig,
    Frozen,
    Groups,
    LearningRate,
    NetworkConfig,
    NormNames,
    Number,
    Penalty,
    RunConfig,
    Seed,
    Seeds,
    SweepConfig,
    Switch,
    TrainingConfig,
    is_custom_network,
)
from normbench.config.validation import user_path, validated
from normbench.errors import UsageError, nearest, unknown

Canonical = Callable[[str], str]
"""From a norm's name as it was typed to its canonical text; raises UsageError where there is no such norm."""

DEFAULT_RECIPE = "baseline"
MOST_RUNS = 100_000
CHOICE_OF_IMAGES = ("name", "subset")
"""Settings of `[data]` that a recipe for other images does not take over."""
COMMAND_LINE = "command line"
"""Source, in errors, of a setting that was not read from a file."""


def replaced_by(recipe: str) -> str:
    """Warning that a recipe for other images takes the place of the one that was asked for."""
    return f"CIFAR-10 is not available: the recipe {recipe} takes its place"


class NormSettings(Frozen):
    """Settings of one norm, under `[norm.NAME]`; None leaves the recipe's."""

    lr: LearningRate | None = None
    weight_decay: Penalty | None = None
    groups: Groups | None = None
    decay_norms: Switch | None = None
    momentum: Number | None = Field(None, ge=0.0, lt=1.0)
    label_smoothing: Number | None = Field(None, ge=0.0, lt=1.0)
    l1: Penalty | None = None
    warmup: Number | None = Field(None, ge=0.0, lt=1.0)
    gamma: Number | None = Field(None, gt=0.0, le=1.0)
    tuned: Switch | None = None
    """False where the learning rate was not found by a search for this norm; by default it was."""


def _check_recipe(name: str) -> str:
    """Refuse what is no recipe that comes along; pydantic turns the ValueError into words."""
    if name not in recipe_names():
        raise ValueError(f"unknown recipe. {nearest(name, recipe_names())}")
    return name


RecipeName = Annotated[str, AfterValidator(_check_recipe)]


PER_NORM_KEYS = frozenset(NormSettings.model_fields)


class Recipe(Frozen):
    """Settings of an experiment; `norm` holds those of single norms, found by a search that was equal for all."""

    norms: NormNames = ("bn", "gn", "ln")
    seeds: Seeds = Field(1, description="Number of seeds per norm.")
    seed: Seed = Field(0, description="Seed of the run, the first one of several.")
    groups: Groups = Field(4, description="Channel groups of GroupNorm.")
    deterministic: Switch = Field(False, description="Use bitwise repeatable kernels only.")
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()
    sweep: SweepConfig = SweepConfig()
    search: SearchSpace = SearchSpace()
    norm: dict[str, NormSettings] = Field(default_factory=dict)
    fallback: RecipeName | None = None
    """Recipe that takes the place of this one, as a whole, where its data set `auto` does not find CIFAR-10."""
    _searched_rates: dict[str, tuple[float, float, str]] = PrivateAttr(default_factory=dict)
    """Learning rate, weight decay and optimizer of each norm with a rate of its own, as the file has them."""
    _canonical: Canonical = PrivateAttr(default_factory=lambda: canonical_text)
    _existing: Canonical = PrivateAttr(default_factory=lambda: canonical_text)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)
    """Settings that were laid over those of the file."""

    @model_validator(mode="after")
    def _check_search(self) -> Self:
        """Refuse a search space that reaches beyond what its settings can be."""
        for name, dimension in self.search.settings.items():
            for value in ends(dimension):
                NormSettings.model_validate({name: value})
        return self

    def model_post_init(self, _context: Any, /) -> None:
        """Take what the recipe states for single norms as found by its search."""
        self._searched_rates = {
            _file_and_name(norm): self._rates(norm)
            for norm, section in self.norm.items()
            if section.lr is not None and section.tuned is not False
        }

    def overridden(self, settings: dict[str, Any]) -> "Recipe":
        """The recipe of other settings, which keeps what this one's search has found.

        Raises:
            UsageError: A setting does not fit.
        """
        recipe = validated(Recipe, settings, COMMAND_LINE)
        recipe._searched_rates, recipe._canonical = self._searched_rates, self._canonical
        return recipe

    def replacement(self) -> "Recipe":
        """Load the recipe of `fallback` with the same overrides, except for those that choose the images.

        Raises:
            UsageError: An override does not fit it.
        """
        assert self.fallback is not None, "asked for only where there is one"
        overrides = dict(self._overrides)
        if isinstance(data := overrides.get("data"), dict):
            overrides["data"] = {key: value for key, value in data.items() if key not in CHOICE_OF_IMAGES}
        return load_recipe(self.fallback, overrides, self._canonical, self._existing)

    def in_network(self, name: str) -> "Recipe":
        """Return the recipe for another network.

        Widths, and the search that found the rates, belong to its own one; a custom network takes no setting at all.
        """
        if self.network.name == name:
            return self
        shared = {} if is_custom_network(name) else self.network.model_dump() | {"widths": None}
        network = NetworkConfig.model_validate(shared | {"name": name})
        recipe = self.model_copy(update={"network": network})
        recipe._searched_rates = {}
        return recipe

    def settled(self) -> dict[str, Any]:
        """Every setting, nested as in a recipe's file: read again, it gives the same runs and the same marks.

        Settings without a value are left out, since TOML has none.
        """
        settings = _without_none(self.model_dump(mode="json"))
        if self._overrides:
            settings.pop("fallback", None)  # to which they would not be applied again
        for norm, section in settings.get("norm", {}).items():
            if "lr" in section and not self.run(norm, self.seed).tuned:
                section["tuned"] = False
        return settings

    def _section_of(self, norm: str) -> dict[str, Any]:
        """The settings of one norm alone: those of its base norm, of its arguments, then of weight standardization.

        `gn(groups=8)+ws` reads `[norm.gn]`, `[norm."gn(groups=8)"]`, `[norm."gn+ws"]` and its own section, in this
        order; a later one wins.
        """
        sections = [
            section.model_dump(exclude={"tuned"}, exclude_none=True)
            for name in map(_file_and_name, NormName.parse(norm).fallbacks)
            for given, section in self.norm.items()
            if _file_and_name(given) == name
        ]
        return {key: value for section in sections for key, value in section.items()}

    def _rates(self, norm: str) -> tuple[float, float, str]:
        section, training = self._section_of(norm), self.training
        return section.get("lr", training.lr), section.get("weight_decay", training.weight_decay), training.optimizer

    def run(self, norm: str, seed: int, **extra: Any) -> RunConfig:
        """The run of one norm and seed: the recipe's settings, then those under `[norm.NAME]`."""
        norm = self._canonical(norm)
        section = self._section_of(norm)
        training = self.training.model_dump() | {k: v for k, v in section.items() if k != "groups"}
        settings = {
            "groups": section.get("groups", self.groups),
            "deterministic": self.deterministic,
            "tuned": self._searched_rates.get(_file_and_name(norm)) == self._rates(norm),
        } | extra
        return validated(
            RunConfig,
            {"norm": norm, "seed": seed, "network": self.network, "data": self.data, "training": training} | settings,
            "settings",
        )


def _file_and_name(norm: str) -> str:
    """The name that all paths to the file of a custom norm share; any other norm's is its own."""
    name = NormName.parse(norm)
    path, _, factory = name.base.rpartition(":")
    if not path.endswith(".py"):
        return norm
    try:
        return str(replace(name, base=f"{Path(path).expanduser().resolve()}:{factory}"))
    except (OSError, RuntimeError, ValueError):  # an error of its own where the file is read
        return norm


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
    """The comment at the head of a recipe: what it is for and what it reaches.

    Its lines are joined, but for those that end with a sentence, so that a terminal of any width can wrap them.
    """
    lines = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return re.sub(r"(?<!\.)\n", " ", "\n".join(lines))


def load_recipe(
    name: str,
    overrides: dict[str, Any] | None = None,
    canonical: Canonical = canonical_text,
    existing: Canonical | None = None,
) -> Recipe:
    """Read a recipe and lay overrides over it: nested as the TOML is, `{"training": {"lr": 0.1}}`.

    An override of a per-norm key (`lr`, `weight_decay`, `groups`) wins over `[norm.NAME]` too: a flag beats
    the file, whichever line of the file it was. An override for one norm, under `norm`, moves that norm alone.

    Args:
        name: Of a recipe, or the path of a TOML file.
        overrides: Settings that win over the file's.
        canonical: Gives each norm the text of its name that all equal names share, and refuses names of no norm, as
            `normbench.norms.canonical_name` does; by default only the spelling is looked at.
        existing: The same for the names of sections, as `normbench.norms.existing_name`; by default `canonical`.

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
    settings = _per_norm(settings, str(path), canonical, existing or canonical)
    recipe = validated(Recipe, settings, str(path))
    recipe._canonical = canonical
    if overrides:
        recipe = _overridden(recipe, settings, overrides, canonical, existing or canonical)
    recipe._existing, recipe._overrides = existing or canonical, overrides or {}
    return recipe


def _overridden(
    recipe: Recipe, settings: dict[str, Any], overrides: dict[str, Any], canonical: Canonical, existing: Canonical
) -> Recipe:
    """Lay overrides over the settings of a recipe's file."""
    overrides = _per_norm(overrides, COMMAND_LINE, canonical, existing)
    override_keys = _leaves({key: value for key, value in overrides.items() if key not in ("norm", "search")})
    for section in settings.get("norm", {}).values():
        for key in override_keys & section.keys():
            del section[key]
    if _chooses_custom_network(overrides):
        settings.pop("network", None)  # settings of another network
    merged = _merge(settings, overrides)
    if recipe.data.name != "digits" and _chooses_digits(overrides):
        merged["data"].pop("subset", None)  # it was of another data set: all digits, as where `auto` falls back to them
    return recipe.overridden(merged)


def _chooses_digits(overrides: dict[str, Any]) -> bool:
    """Test if the overrides choose the digits without a number of images."""
    data = overrides.get("data", {})
    return isinstance(data, dict) and data.get("name") == "digits" and "subset" not in data


def _chooses_custom_network(overrides: dict[str, Any]) -> bool:
    """Test if the overrides name a custom network, which has no settings but its name."""
    network = overrides.get("network", {})
    return isinstance(network, dict) and is_custom_network(str(network.get("name", "")))


def check_count(runs: int) -> None:
    """Refuse a plan of more runs than anybody can mean.

    Raises:
        UsageError: There are more.
    """
    if runs > MOST_RUNS:
        raise UsageError(
            f"{runs:,} runs in one plan; at most {MOST_RUNS:,} are possible", "Name fewer values or seeds."
        )


def _per_norm(settings: dict[str, Any], where: str, canonical: Canonical, existing: Canonical) -> dict[str, Any]:
    """The settings with every norm by its canonical name, once their sections under `norm` are checked."""
    sections = settings.get("norm", {})
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise UsageError(f"{where}: settings of one norm stand under [norm.NAME]")
    named: dict[str, dict[str, Any]] = {}
    for norm, section in sections.items():
        try:
            name = existing(norm)
        except UsageError as error:
            custom = "A custom norm stands there as it is typed: file.py:factory."
            raise UsageError(f"{where}: {error.message} in [norm.{norm}]", f"{error.hint} {custom}".strip()) from error
        if _file_and_name(name) in map(_file_and_name, named):
            raise UsageError(f"{where}: two sections for the norm {name}", "Leave one of them out.")
        for key in section:
            if key not in PER_NORM_KEYS:
                raise UsageError(f"{where}: unknown key '{key}' in [norm.{norm}]", nearest(key, PER_NORM_KEYS))
        named[name] = section
    settings = settings | ({"norm": named} if named else {})
    norms = settings.get("norms")
    if isinstance(norms, list | tuple) and all(isinstance(norm, str) for norm in norms):
        try:
            settings["norms"] = list(dict.fromkeys(canonical(norm) for norm in norms))
        except UsageError as error:
            if where == COMMAND_LINE:  # whoever typed it needs no place
                raise
            raise UsageError(f"{where}: {error.message} in norms", error.hint) from error
    return settings


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    plain = {key: _without_none(value) if isinstance(value, dict) else value for key, value in settings.items()}
    return {key: value for key, value in plain.items() if value not in (None, {})}


def _leaves(settings: dict[str, Any]) -> set[str]:
    return {leaf for key, value in settings.items() for leaf in (_leaves(value) if isinstance(value, dict) else {key})}


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
