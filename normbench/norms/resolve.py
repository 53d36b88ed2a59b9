"""Norms from their names, built-in and custom. Custom ones are `file.py:factory` or `package.module:factory`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from normbench.config.norm_names import WEIGHT_SWITCHES, Argument, NormName
from normbench.custom_code import (
    Code,
    Location,
    check_defined,
    import_factory,
    locate_in_folder,
    no_factory,
    read_code,
    split_spec,
)
from normbench.errors import UsageError, guess, shortened, suggestion
from normbench.norms.arguments import Signature
from normbench.norms.axes import Axes
from normbench.norms.registry import NORMS, OTHER_NAMES, NormInfo
from normbench.norms.weights import WEIGHTS

if TYPE_CHECKING:
    from torch import nn


GROUPS = "groups"
"""The argument that a recipe states, too, where a name leaves it out."""
ACTIVATION = "activation"
"""The argument of a norm with an activation of its own that leaves it out."""


@dataclass(frozen=True)
class Norm:
    """A norm ready to build layers: its record, its arguments, and the convolutions it goes with."""

    info: NormInfo
    arguments: Mapping[str, Argument] = field(hash=False)
    """Arguments of the builder, with the recipe's groups where it takes groups."""
    groups: int
    """The recipe's, which the name may overrule."""
    weights: str
    """Switch for the weights of the convolutions, of `WEIGHTS`, or empty."""
    code: Code | None = None
    """All the code of a custom norm; None for a built-in one."""

    @classmethod
    def parse(cls, spec: str, groups: int = 4) -> "Norm":
        """The norm of a name: built-in, `package.module:factory` or `file.py:factory`, optionally with arguments.

        Args:
            spec: The name, as in `gn(groups=8)`; a switch at its end, as `+ws`, is for the weights of convolutions.
            groups: Channel groups of GroupNorm where the name does not state them.

        Raises:
            UsageError: No such norm, an argument does not fit, or the factory cannot be imported.
        """
        name = NormName.parse(spec)
        if name.is_custom:
            return _custom(name, groups)
        info = norm_info(spec, groups)
        signature = Signature.of(info.build)
        shared: dict[str, Argument] = {GROUPS: groups} if GROUPS in signature.parameters else {}
        return cls(info, shared | signature.check(name), groups, name.weights)

    @property
    def name(self) -> str:
        """The canonical name, arguments and a switch for weights included."""
        return self.info.name + self.weights

    @property
    def is_custom(self) -> bool:
        """True if its code is imported rather than part of normbench."""
        return is_custom(self.info.name)

    @property
    def conv(self) -> type["nn.Conv2d"]:
        """The class of every convolution before this norm."""
        from torch import nn

        return WEIGHTS[self.weights].convolution() if self.weights else nn.Conv2d

    @property
    def activates(self) -> bool:
        """True if its layers bring the activation that stands after a norm."""
        return self.info.activates and bool(self.arguments.get(ACTIVATION, True))

    def make(self, channels: int, *, activated: bool = True) -> "nn.Module":
        """A norm layer for (N, `channels`, H, W).

        Args:
            channels: Of the input.
            activated: True if a norm that brings an activation brings it here; not where none follows a norm.

        Raises:
            UsageError: There is none for so many channels, or a custom factory fails.
        """
        arguments = dict(self.arguments)
        if self.activates and not activated:
            arguments[ACTIVATION] = False
        return self.info.build(channels, **arguments)


def canonical_name(spec: str) -> str:
    """The name that all spellings of a norm share: arguments sorted, and none of a built-in norm at its default.

    `gn(groups=4)` stays as it is, since `gn` has the groups of the recipe. Arguments of a custom norm are not compared
    with its defaults, which only its code knows.

    Raises:
        UsageError: There is no such built-in norm, or an argument of it does not fit.
    """
    name = NormName.parse(spec)
    if name.is_custom:
        split_spec(spec)
        return str(name)
    return str(_without_defaults(name))


def existing_name(spec: str) -> str:
    """The canonical name of a norm that is there: of a custom one the file or module is read, and not imported.

    Raises:
        UsageError: There is no such norm, or an argument of a built-in one does not fit.
    """
    canonical = canonical_name(spec)
    if is_custom(canonical):
        check_defined(NormName.parse(canonical).base)
    return canonical


def _without_defaults(name: NormName) -> NormName:
    signature = Signature.of(_record(name).build)
    arguments = {
        key: value
        for key, value in signature.check(name).items()
        if key == GROUPS or value != signature.parameters[key].default
    }
    return replace(name, arguments=arguments)


def _record(name: NormName) -> NormInfo:
    if name.base not in NORMS:
        raise unknown_norm(name, NORMS)
    return NORMS[name.base]


def unknown_norm(name: NormName, known: Collection[str], besides: Collection[str] = ()) -> UsageError:
    """The error for a name whose base is none of the known ones: it suggests the whole name, with its switch.

    Args:
        name: As it was typed.
        known: Names of norms.
        besides: Names of what is no norm and can be given as well.
    """
    if name.base.endswith(".py"):
        return no_factory(name.base, "norm")
    base, plus, typed = name.base.partition("+")
    meant, switch = guess(base, sorted([*known, *besides]), OTHER_NAMES), name.weights
    if plus and not switch:
        switch = guess(f"+{typed}", [*WEIGHT_SWITCHES]) or ""
    full = str(replace(name, base=meant, weights=switch)) if meant else None
    hint = suggestion(full, known)
    if plus and not switch:
        hint += f" Switches for the weights: {', '.join(WEIGHT_SWITCHES)}."
    if besides:
        hint += f" Besides norms: {', '.join(besides)}."
    return UsageError(f"unknown norm '{shortened(name.base)}'", hint)


def norm_info(spec: str, groups: int = 4) -> NormInfo:
    """The record of a norm, read without importing it; of a custom one it holds little more than the name.

    Args:
        spec: The name; its arguments are in the name and the axes of the record, `+ws` is not.
        groups: As for `Norm.parse`.

    Raises:
        UsageError: The name is neither built-in nor of the form of a custom norm, or an argument does not fit.
    """
    name = NormName.parse(spec).alone
    if not name.is_custom:
        record, name = _record(name), _without_defaults(name)
        return replace(record, name=str(name), axes=_axes(record.axes, {GROUPS: groups, **name.arguments}))
    return replace(
        NORMS["none"],
        name=str(name),
        title=f"{str(name)[name.base.rindex(':') + 1 :]} (your own)",
        formula="as your code says",
        axes=None,
        when="Your own norm.",
        avoid="",
        mistakes=(),
        statistic="?",
        adds_bias=True,
        activates=False,
        revision=1,
    )


def _axes(axes: Axes | None, arguments: Mapping[str, Argument]) -> Axes | None:
    """The axes with the count that the arguments state."""
    ghost = arguments.get("size")
    if axes and axes.ghost and isinstance(ghost, int):
        return replace(axes, ghost=ghost)
    count = arguments.get({"group": GROUPS, "window": "size"}.get(axes.channels, "")) if axes else None
    return replace(axes, count=count) if axes and isinstance(count, int) else axes


def default_arguments(info: NormInfo) -> dict[str, Argument]:
    """The arguments that the name of a built-in norm can give, with their defaults; none of a custom norm."""
    parameters = Signature.of(info.build).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def listing_order(spec: str) -> tuple[int, str]:
    """The sort key that puts norms in the order of the registry, each before those with arguments; custom ones last."""
    name, order = NormName.parse(spec), list(NORMS)
    return order.index(name.base) if name.base in order else len(order), str(name)


def is_custom(spec: str) -> bool:
    """Test for the name of a custom norm, whose code is imported, rather than of a built-in one."""
    return NormName.parse(spec).is_custom


def norm_code(spec: str) -> Code | None:
    """Read all the code of a custom norm, without importing it; None for built-in norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    return read_code(NormName.parse(spec).base) if is_custom(spec) else None


def source_digest(spec: str) -> str | None:
    """Compute the SHA-256 (hex) of all the code of a custom norm, without importing it; None for built-in norms.

    Raises:
        UsageError: It cannot be found or read.
    """
    code = norm_code(spec)
    return code.digest if code else None


def norm_from_folder(folder: Path, main: str, spec: str, groups: int = 4) -> Norm:
    """Make a custom norm from a folder with all its code.

    Args:
        folder: Of the code.
        main: The file in it that has the factory.
        spec: The name of the norm when its code was saved there.
        groups: As for `Norm.parse`.

    Raises:
        UsageError: It cannot be imported.
    """
    return _custom(NormName.parse(spec), groups, locate_in_folder(folder, main, split_spec(spec)[1]))


def _custom(name: NormName, groups: int, location: Location | None = None) -> Norm:
    factory = import_factory(name.base, "norm", location)
    arguments = Signature.of(factory.call).check(name) if name.arguments else {}
    norm = str(name.alone)
    contract = "A norm factory takes the number of channels and returns a torch.nn.Module."

    def build(channels: int, **arguments: Argument) -> "nn.Module":
        from torch import nn

        call = f"factory({', '.join([str(channels), *(f'{key}={value!r}' for key, value in arguments.items())])})"
        try:
            with factory.importable():
                module = factory.call(channels, **arguments)
        except (Exception, SystemExit) as error:
            raise UsageError(f"norm '{norm}': {call} failed: {type(error).__name__}: {error}", contract) from error
        if not isinstance(module, nn.Module):
            raise UsageError(f"norm '{norm}': {call} returned {type(module).__name__}, not a module", contract)
        return module

    info = replace(norm_info(norm), build=build)
    return Norm(info, arguments, groups, name.weights, factory.code)
