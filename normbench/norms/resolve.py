"""Norms from their names: built-in ones, and custom ones from `file.py:factory` or `package.module:factory`."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from normbench.config.settings import WEIGHT_STANDARDIZATION
from normbench.errors import UsageError, unknown
from normbench.norms.code import (
    Code,
    Location,
    code_of,
    import_from,
    imported_from,
    locate,
    locate_in_folder,
    release,
    split_spec,
)
from normbench.norms.layers import StandardizedConv2d
from normbench.norms.registry import NORMS, OTHER_NAMES, NormInfo


@dataclass(frozen=True)
class Norm:
    """A norm ready to build layers: its record, its group count, and the convolutions it goes with."""

    info: NormInfo
    groups: int
    weight_standardization: bool
    code: Code | None = None
    """Of a custom norm: all the code that was imported."""

    @classmethod
    def parse(cls, spec: str, groups: int = 4) -> "Norm":
        """The norm of a name: built-in, `package.module:factory` or `file.py:factory`.

        Args:
            spec: The name; `+ws` at its end adds weight standardization.
            groups: Channel groups of GroupNorm.

        Raises:
            UsageError: No such norm, or the factory cannot be imported.
        """
        name = spec.removesuffix(WEIGHT_STANDARDIZATION)
        if is_custom(name):
            return _custom(spec, locate(name), groups)
        if name not in NORMS:
            raise unknown("norm", name, NORMS, OTHER_NAMES)
        return cls(NORMS[name], groups, weight_standardization=name != spec)

    @property
    def name(self) -> str:
        """The name as the user typed it, `+ws` included."""
        return self.info.name + (WEIGHT_STANDARDIZATION if self.weight_standardization else "")

    @property
    def is_custom(self) -> bool:
        """Whether its code is imported rather than part of normbench."""
        return is_custom(self.info.name)

    @property
    def conv(self) -> type[nn.Conv2d]:
        """The class of every convolution before this norm."""
        return StandardizedConv2d if self.weight_standardization else nn.Conv2d

    def make(self, channels: int) -> nn.Module:
        """A norm layer for (N, `channels`, H, W)."""
        return self.info.build(channels, self.groups)


def norm_info(spec: str) -> NormInfo:
    """The record of a norm, read without importing it; of a custom one it holds little more than the name.

    Raises:
        UsageError: The name is neither built-in nor of the form of a custom norm.
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


def is_custom(spec: str) -> bool:
    """Whether a name is that of a custom norm, whose code is imported, rather than of a built-in one."""
    return ":" in spec


def norm_code(spec: str) -> Code | None:
    """All the code of a custom norm, read without importing it; None for built-in norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    if not is_custom(spec):
        return None
    location = locate(spec)
    if location is None:
        source = split_spec(spec)[0]
        return Code(source, {}, (release(source),))
    return code_of(location)


def source_digest(spec: str) -> str | None:
    """SHA-256 (hex) of all the code of a custom norm, taken without importing it; None for built-in norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    code = norm_code(spec)
    return code.digest if code else None


def norm_from_folder(folder: Path, main: str, spec: str, groups: int = 4) -> Norm:
    """A custom norm from a folder with all its code.

    Args:
        folder: Of the code.
        main: The file in it that has the factory.
        spec: The name of the norm when its code was saved there.
        groups: As for `Norm.parse`.

    Raises:
        UsageError: It cannot be imported.
    """
    return _custom(spec, locate_in_folder(folder, main, split_spec(spec)[1]), groups)


def code_from_folder(folder: Path, main: str, spec: str) -> Code:
    """All the code of a custom norm in the folder where it was saved, read without importing it.

    Raises:
        UsageError: It cannot be read.
    """
    return code_of(locate_in_folder(folder, main, split_spec(spec)[1]))


def uncovered_files(spec: str) -> tuple[str, ...]:
    """Files that a custom norm imports and its digest does not cover, since only running it tells which they are.

    Raises:
        UsageError: It cannot be imported.
    """
    location = locate(spec) if is_custom(spec) else None
    return tuple(sorted(imported_from(location, spec).uncovered)) if location else ()


def _custom(spec: str, location: Location | None, groups: int) -> Norm:
    name = spec.removesuffix(WEIGHT_STANDARDIZATION)
    factory, loaded = import_from(location, name)
    importable = loaded.importable if loaded else nullcontext
    contract = "A norm factory takes the number of channels and returns a torch.nn.Module."

    def build(channels: int, _groups: int) -> nn.Module:
        try:
            with importable():
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

    info = replace(norm_info(name), build=build)
    return Norm(info, groups, name != spec, loaded.code if loaded else norm_code(spec))
