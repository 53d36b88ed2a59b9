"""Settings that do not fit are named in words: the place, the key, the value, the nearest valid key."""

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from normbench.errors import UsageError, nearest, shortened

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], settings: dict[str, Any], where: str) -> M:
    """Build a config model; a setting that does not fit is named in words.

    Raises:
        UsageError: Names the place, the key and the nearest valid key, or the value and what is allowed.
    """
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise _in_words(model, error, where) from error


def _in_words(model: type[BaseModel], error: ValidationError, where: str) -> UsageError:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UsageError(f"{where}: unknown key '{shortened(key)}'", _nearest_key(model, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    said = said[0].lower() + said[1:]
    if key.endswith("epochs") and first["type"] != "int_type":
        return UsageError(
            f"{where}: epochs = {_value(first['input'])}, but the rules of the benchmark are 1 to 20 epochs",
            "Give --epochs a value from 1 to 20.",
        )
    return UsageError(f"{where}: {shortened(key)} = {_value(first['input'])}: {said}" if key else f"{where}: {said}")


def _nearest_key(model: type[BaseModel], path: tuple[int | str, ...]) -> str:
    """The valid key nearest to one that is none; of a section of a mapping, one of the section's model."""
    section: Any = model
    for part in path[:-1]:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[str(part)].annotation
        else:  # a mapping from names to sections
            section = get_args(section)[-1]
    return nearest(str(path[-1]), section.model_fields)


def _value(value: object) -> str:
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python prints, or a very deep list
        return f"a {type(value).__name__}"
