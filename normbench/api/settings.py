"""Recipe, norm and machine arguments of the functions."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import nn

from normbench.config import MachineConfig, Recipe, load_recipe
from normbench.config.validation import sentence
from normbench.custom_code import provide
from normbench.errors import UsageError, shortened
from normbench.norms import Norm, canonical_name, existing_name

NormLike = str | type[nn.Module] | Callable[[int], nn.Module]
"""Name of a norm, as on the command line, or a class or function that makes a layer from the number of channels."""
NetworkLike = str | type[nn.Module] | Callable[[Norm, int], nn.Module]
"""Name of a network, as on the command line, or a class or function `(norm, classes) -> nn.Module`."""

REGISTERED: dict[str, str] = {}
"""Short names of custom norms, by `register_norm`."""


def norm_spec(norm: NormLike) -> str:
    """Name of a norm, as run folders keep it; a class or function is named by its file.

    Raises:
        UsageError: It has no file, or is no class or function at the top level of one.
    """
    return REGISTERED.get(norm, norm) if isinstance(norm, str) else _factory_spec(norm)


def network_spec(network: NetworkLike | None) -> str | None:
    """Name of a network, likewise; None for none.

    Raises:
        UsageError: It has no file, or is no class or function at the top level of one.
    """
    return network if network is None or isinstance(network, str) else _factory_spec(network)


def _factory_spec(factory: Callable[..., nn.Module]) -> str:
    name = getattr(factory, "__qualname__", type(factory).__name__)
    try:
        file = inspect.getsourcefile(factory)
    except TypeError:
        file = None
    if file is None or not Path(file).is_file():
        raise UsageError(
            f"{name} has no file: its code could not be kept with the run",
            "Write it to a file (in a notebook: %%writefile mynorm.py) and import it.",
        )
    if not name.isidentifier():
        raise UsageError(f"{name} is not at the top level of {file}", "Define the class or function there.")
    spec = f"{Path(file).resolve()}:{name}"
    provide(spec, factory)
    return spec


def checked(kind: Any, value: Any, name: str) -> Any:
    """An argument that is no setting of a recipe, if it is of its type: text and booleans are no numbers.

    Raises:
        UsageError: It is of another type, or out of bounds.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        reason = sentence(error.errors(include_url=False)[0]["msg"])
        raise UsageError(f"{name} = {shortened(repr(value))}: {reason}") from error


def changed_recipe(recipe: str, settings: Mapping[str, Any] | None, norms: Sequence[str] = (), **fields: Any) -> Recipe:
    """Load a recipe with changes applied.

    Args:
        recipe: Name or TOML file.
        settings: Keys of a recipe with dots, as `{"training.momentum": 0.95}`.
        norms: Norms in place of the recipe's.
        fields: Further keys, with `__` for the dots; None keeps the recipe's value.

    Raises:
        UsageError: A key or value does not fit.
    """
    changes = {key.replace("__", "."): value for key, value in fields.items() if value is not None}
    overrides = nested({**changes, **(settings or {})}) | ({"norms": tuple(norms)} if norms else {})
    return load_recipe(recipe, overrides, canonical_name, existing_name)


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nest settings with dotted keys: `{"training.lr": 0.1}` becomes `{"training": {"lr": 0.1}}`.

    Raises:
        UsageError: A key is both a setting and a section.
    """
    sections: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, last = key.split(".")
        section: Any = sections
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                raise UsageError(f"{key}: {parent} is a setting, not a section")
        section[last] = value
    return sections


def machine(**settings: Any) -> MachineConfig:
    """Return the machine settings: arguments that are not None, else `NORMBENCH_*`, else the defaults."""
    return MachineConfig.resolve({name: value for name, value in settings.items() if value is not None})
