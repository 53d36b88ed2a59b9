"""Arguments of norms, as in `gn(groups=8)`: checked against the signature of the builder or factory that takes them."""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from normbench.config.norm_names import Argument, NormName
from normbench.config.validation import sentence
from normbench.errors import UsageError, nearest, shortened

SCALARS = (int, float, bool, str, types.NoneType)


@dataclass(frozen=True)
class Signature:
    """The arguments that a builder or factory takes beside the number of channels."""

    parameters: Mapping[str, inspect.Parameter]
    open: bool = False
    """True if it takes any others, or Python does not tell."""

    @classmethod
    def of(cls, factory: Callable[..., object]) -> "Signature":
        """Read a signature; annotations that cannot be evaluated stay text."""
        signature = None
        for evaluate in (True, False):
            try:
                signature = inspect.signature(factory, eval_str=evaluate)
                break
            except Exception:  # noqa: BLE001  # evaluating an annotation runs code of the user's
                continue
        if signature is None:
            return cls({}, open=True)
        parameters = list(signature.parameters.values())
        if parameters and parameters[0].kind in POSITIONAL:
            parameters = parameters[1:]
        named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        return cls(named, any(p.kind is p.VAR_KEYWORD for p in parameters))

    def check(self, name: NormName) -> dict[str, Argument]:
        """The arguments of a name, each converted to the type that its parameter has.

        Raises:
            UsageError: An argument is unknown, of another type or out of bounds.
        """
        return {key: self._check(name, key, value) for key, value in name.arguments.items()}

    def _check(self, name: NormName, key: str, value: Argument) -> Argument:
        where = f"norm '{shortened(str(name))}'"
        if key not in self.parameters:
            if self.open:
                return value
            hint = nearest(key, self.parameters) if self.parameters else f"{name.base} takes no arguments."
            raise UsageError(f"{where}: unknown argument '{shortened(key)}'", hint)
        try:
            checked: Argument = _adapter(self.parameters[key]).validate_python(value)
        except ValidationError as error:
            reason = sentence(error.errors(include_url=False)[0]["msg"])
            raise UsageError(f"{where}: {key} = {shortened(str(value))}: {reason}") from error
        return checked


POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _adapter(parameter: inspect.Parameter) -> TypeAdapter[Any]:
    """The validator of a parameter: by its annotation where that is of plain values, else by its default."""
    annotation = parameter.annotation
    if annotation is parameter.empty:
        annotation = _type_of(parameter.default)
    if not _is_plain(annotation):
        annotation = Any
    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
    except PydanticUserError:  # bounds that do not go with the type
        return TypeAdapter(Any)


def _type_of(default: object) -> Any:
    """The type that a default stands for; an integer may stand for any number."""
    if isinstance(default, bool | str):
        return type(default)
    if isinstance(default, int):
        return int | float
    return float if isinstance(default, float) else Any


def _is_plain(annotation: Any) -> bool:
    """Test if an annotation is made of numbers, booleans, texts and None alone, with or without bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_plain(inner[0])
    if origin in (Union, types.UnionType):
        return all(_is_plain(one) for one in inner)
    return origin is Literal or annotation in SCALARS
