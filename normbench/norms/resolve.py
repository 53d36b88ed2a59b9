"""From what the user typed to a norm: a registered name or a factory of their own, optionally with `+ws`."""

import importlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from normbench.config.settings import WEIGHT_STANDARDIZATION
from normbench.errors import UsageError, unknown
from normbench.norms.code import (
    Code,
    Location,
    code_of,
    locate,
    locate_kept,
    module_part,
    release,
)
from normbench.norms.layers import StandardizedConv2d
from normbench.norms.loading import Loaded, load
from normbench.norms.registry import NORMS, OTHER_NAMES, NormInfo


@dataclass(frozen=True)
class Norm:
    """A norm ready to build layers: its record, its group count, and the convolutions it goes with."""

    info: NormInfo
    groups: int
    weight_standardization: bool
    code: Code | None = None
    """Of a custom norm: all the code that was imported."""

    @property
    def name(self) -> str:
        """The name as the user typed it, `+ws` included."""
        return self.info.name + (WEIGHT_STANDARDIZATION if self.weight_standardization else "")

    @property
    def is_own(self) -> bool:
        """Whether it is a custom norm."""
        return is_own(self.info.name)

    @property
    def conv(self) -> type[nn.Conv2d]:
        """The class of every convolution before this norm."""
        return StandardizedConv2d if self.weight_standardization else nn.Conv2d

    def make(self, channels: int) -> nn.Module:
        """A norm layer for (N, `channels`, H, W)."""
        return self.info.build(channels, self.groups)


def resolve_norm(spec: str, groups: int = 4) -> Norm:
    """The norm of a registered name, `package.module:factory` or `file.py:factory`.

    Args:
        spec: The name; `+ws` at its end adds weight standardization.
        groups: Channel groups of GroupNorm.

    Raises:
        UsageError: No such norm, or the factory cannot be imported or does not return a module.
    """
    name = spec.removesuffix(WEIGHT_STANDARDIZATION)
    if is_own(name):
        return _own(spec, locate(name), groups)
    if name not in NORMS:
        raise unknown("norm", name, NORMS, OTHER_NAMES)
    return Norm(NORMS[name], groups, weight_standardization=name != spec)


def norm_info(spec: str) -> NormInfo:
    """What is known of a norm without importing it; of one of the user's own that is its name.

    Raises:
        UsageError: It is neither registered nor of the form of the user's own.
    """
    name = spec.removesuffix(WEIGHT_STANDARDIZATION)
    if name in NORMS:
        return NORMS[name]
    if ":" not in name:
        raise unknown("norm", name, NORMS, OTHER_NAMES)
    return replace(
        NORMS["none"],
        name=name,
        title=f"{name.rpartition(':')[2]} (your own)",
        formula="as your code says",
        axes="?",
        when="Your own norm.",
        avoid="",
        mistakes=(),
        statistic="?",
        adds_bias=True,
        revision=1,
    )


def is_own(spec: str) -> bool:
    """Whether a spec names a custom norm, whose code is imported, rather than a registered one."""
    return ":" in spec


def norm_code(spec: str) -> Code | None:
    """All the code of a custom norm, read without importing it; None for registered norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    if not is_own(spec):
        return None
    location = locate(spec)
    if location is None:
        source = module_part(spec)[0]
        return Code(source, {}, (release(source),))
    return code_of(location)


def source_digest(spec: str) -> str | None:
    """SHA-256 (hex) of all the code of a custom norm, taken without importing it; None for registered norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    code = norm_code(spec)
    return code.digest if code else None


def kept_norm(code: Path, main: str, norm: str, groups: int = 4) -> Norm:
    """A custom norm from a folder with all its code.

    Args:
        code: The folder.
        main: The file in it that has the factory.
        norm: As it was called when its code was kept.
        groups: As for `resolve_norm`.

    Raises:
        UsageError: It cannot be imported.
    """
    return _own(norm, locate_kept(code, main, module_part(norm)[1]), groups)


def kept_code(code: Path, main: str, norm: str) -> Code:
    """All the code in a folder where it was kept, read without importing it.

    Raises:
        UsageError: It cannot be read.
    """
    return code_of(locate_kept(code, main, module_part(norm)[1]))


def uncovered_files(spec: str) -> tuple[str, ...]:
    """Files that a custom norm imports and its digest does not cover, since only running it tells which they are.

    Raises:
        UsageError: It cannot be imported.
    """
    location = locate(spec) if is_own(spec) else None
    return tuple(sorted(_load(spec, "norm", location).uncovered)) if location else ()


def imported(name: str, kind: str = "norm") -> Any:
    """The object that `file.py:attribute` or `package.module:attribute` names; `kind` is what errors call it.

    Raises:
        UsageError: It cannot be imported, or there is nothing of that name.
    """
    return _attribute(name, locate(name, kind), kind)[0]


def _own(spec: str, location: Location | None, groups: int) -> Norm:
    name = spec.removesuffix(WEIGHT_STANDARDIZATION)
    factory, loaded = _attribute(name, location)
    info = replace(norm_info(name), build=_checked(name, factory, loaded))
    return Norm(info, groups, name != spec, loaded.code if loaded else norm_code(spec))


def _attribute(name: str, location: Location | None, kind: str = "norm") -> tuple[Any, Loaded | None]:
    loaded = _load(name, kind, location) if location else None
    module = loaded.module if loaded else _import(name, kind)
    assert module is not None, "it was imported"
    attribute = module_part(name, kind)[1]
    found = getattr(module, attribute, None)
    if found is None:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(
            f"{kind} '{name}': nothing called '{attribute}' in {getattr(module, '__file__', None) or module.__name__}",
            f"Callables there: {', '.join(sorted(public)) or 'none'}.",
        )
    return found, loaded


def _checked(name: str, factory: Callable[[int], object], loaded: Loaded | None) -> Callable[[int, int], nn.Module]:
    """Wrap a factory so that whatever it does wrong is said in words, with what it should do."""
    contract = "A norm factory takes the number of channels and returns a torch.nn.Module."

    def build(channels: int, _groups: int) -> nn.Module:
        try:
            with loaded.importable() if loaded else nullcontext():
                module = factory(channels)
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"norm '{name}': factory({channels}) failed: {type(error).__name__}: {error}", contract
            ) from error
        if not isinstance(module, nn.Module):
            raise UsageError(
                f"norm '{name}': factory({channels}) returned {type(module).__name__}, not a module", contract
            )
        return module

    return build


def _load(name: str, kind: str, location: Location) -> Loaded:
    with _import_in_words(name, kind):
        return load(location)


def _import(name: str, kind: str) -> ModuleType:
    with _import_in_words(name, kind):
        return importlib.import_module(module_part(name, kind)[0])


@contextmanager
def _import_in_words(name: str, kind: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        source = module_part(name, kind)[0]
        raise UsageError(
            f"{kind} '{name}': cannot import {source}: {type(error).__name__}: {error}",
            f"Run `{shlex.join(['python', source])}` to see the failure on its own."
            if source.endswith(".py")
            else "Is the package in the current folder, or installed in this environment?",
        ) from error
