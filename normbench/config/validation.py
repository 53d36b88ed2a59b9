"""Settings that do not fit are named in words: the place, the key, the value, the nearest valid key."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from normbench.errors import UsageError, nearest

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
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = model
        for part in first["loc"][:-1]:
            section = section.model_fields[str(part)].annotation  # type: ignore[assignment]
        return UsageError(f"{where}: unknown key '{key}'", nearest(str(first["loc"][-1]), section.model_fields))
    if key.endswith("epochs"):
        return UsageError(
            f"{where}: epochs = {first['input']}, but the rules of the benchmark are 1 to 20 epochs",
            "Give --epochs a value from 1 to 20.",
        )
    said = first["msg"][0].lower() + first["msg"][1:]
    return UsageError(f"{where}: {key} = {first['input']!r}: {said}")
