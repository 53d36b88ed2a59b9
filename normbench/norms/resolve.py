"""From what the user typed to a norm: a registered name or a factory of their own, optionally with `+ws`."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from normbench.config.settings import WEIGHT_STANDARDIZATION
from normbench.errors import UsageError, unknown
from normbench.norms.layers import StandardizedConv2d
from normbench.norms.registry import NORMS, OTHER_NAMES, NormInfo


@dataclass(frozen=True)
class Norm:
    """A norm ready to build layers: its record, its group count, and the convolutions it goes with."""

    info: NormInfo
    groups: int
    weight_standardization: bool

    @property
    def name(self) -> str:
        """The name as the user typed it, `+ws` included."""
        return self.info.name + (WEIGHT_STANDARDIZATION if self.weight_standardization else "")

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
    if ":" in name:
        info = _own(name)
    elif name in NORMS:
        info = NORMS[name]
    else:
        raise unknown("norm", name, NORMS, OTHER_NAMES)
    return Norm(info, groups, weight_standardization=name != spec)


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


def source_digest(spec: str) -> str | None:
    """SHA-256 (hex) of the file that a norm of the user's own lives in; None for registered norms."""
    name = spec.removesuffix(WEIGHT_STANDARDIZATION)
    if ":" not in name:
        return None
    path = _module(name)[0].__file__
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None


def _own(name: str) -> NormInfo:
    return replace(norm_info(name), build=_checked(name, imported(name)))


def imported(name: str, kind: str = "norm") -> Any:
    """What `file.py:attribute` or `package.module:attribute` names; `kind` is what it is called in errors.

    Raises:
        UsageError: It cannot be imported, or there is nothing of that name.
    """
    module, attribute = _module(name, kind)
    found = getattr(module, attribute, None)
    if found is None:
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(
            f"{kind} '{name}': nothing called '{attribute}' in {module.__file__ or module.__name__}",
            f"Callables there: {', '.join(sorted(public)) or 'none'}.",
        )
    return found


def _checked(name: str, factory: Callable[[int], object]) -> Callable[[int, int], nn.Module]:
    """Wrap a factory so that whatever it does wrong is said in words, with what it should do."""
    contract = "A norm factory takes the number of channels and returns a torch.nn.Module."

    def build(channels: int, _groups: int) -> nn.Module:
        try:
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


def _module(name: str, kind: str = "norm") -> tuple[ModuleType, str]:
    """Import the module part of `module:attribute`; a part that ends in .py is a file."""
    source, _, attribute = name.rpartition(":")
    what = "factory" if kind == "norm" else "function"
    if not source or not attribute:
        raise UsageError(f"{kind} '{name}' is not of the form file.py:{what} or package.module:{what}")
    try:
        return (_from_file(source, kind) if source.endswith(".py") else importlib.import_module(source)), attribute
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{kind} '{name}': cannot import {source}: {type(error).__name__}: {error}",
            "Run `python " + source + "` to see the failure on its own."
            if source.endswith(".py")
            else "Is the package installed in this environment?",
        ) from error


def _from_file(source: str, kind: str) -> ModuleType:
    path = Path(source).expanduser().resolve()
    if not path.is_file():
        raise UsageError(f"{kind} file {path} does not exist", "Give the path to a .py file, as in norms/my.py:MyNorm.")
    name = f"normbench_norm_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
