"""Validation of settings, paths and names; an error names the place, the key, the value and the nearest valid key."""

import os
import re
from pathlib import Path
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
    reason = sentence(first["msg"])
    if key.endswith("epochs") and first["type"] != "int_type":
        return UsageError(
            f"{where}: epochs = {_value(first['input'])}, but the rules of the benchmark are 1 to 20 epochs",
            "Give --epochs a value from 1 to 20.",
        )
    if not key or (first["type"] == "value_error" and isinstance(first["input"], dict)):  # of a whole section
        return UsageError(": ".join(filter(None, [where, shortened(key), reason])))
    return UsageError(f"{where}: {shortened(key)} = {_value(first['input'])}: {reason}")


def sentence(message: str) -> str:
    """A message of pydantic as the end of a sentence."""
    message = re.sub(r"[0-9]{16,}", _shortest, message.removeprefix("Value error, "))
    return message[0].lower() + message[1:]


def _shortest(digits: re.Match[str]) -> str:
    """A number of very many digits as a user types it: 1e30."""
    return f"{float(digits[0]):g}".replace("e+", "e")


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


LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes that common file systems, and the system calls, allow."""


def check_text(text: str, what: str) -> str:
    """Check that bytes of the command line or the environment are text: what is written down must be readable again.

    Raises:
        UsageError: They are no UTF-8; shows them escaped.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raw = text.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f"{what} {shortened(raw)} is not valid UTF-8", "Rename it, or give another.") from error
    return text


def user_path(text: "str | os.PathLike[str]", what: str = "path") -> Path:
    """The path that a text of the user stands for.

    Args:
        text: From a flag, a variable or a file.
        what: What it is called in errors, such as `--out`.

    Raises:
        UsageError: It is empty, no UTF-8, longer than any file system allows, or in the home of a user that there is
            not.
    """
    if not isinstance(text, str | os.PathLike):
        raise UsageError(f"{what}: {shortened(repr(text))} is no path", "Give it as text.")
    text = check_text(os.fspath(text), what)
    if not text.strip():
        raise UsageError(f"{what}: the path is empty", "Leave it out, or name a path.")
    shown = f"{what} {shortened(text)}"
    try:
        size, names = len(os.fsencode(text)), [len(os.fsencode(name)) for name in Path(text).parts]
    except UnicodeEncodeError as error:
        raise UsageError(f"{shown}: no name that a file can have") from error
    if "\0" in text or size > LONGEST_PATH or max(names, default=0) > LONGEST_NAME:
        raise UsageError(f"{shown}: longer than a path can be, or with a null character in it")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{shown}: there is no such user, or no home folder", "Give the path in full.") from error


LONGEST_EXPERIMENT = 100
"""Bytes in UTF-8; file systems allow 255, and files within the folder have names, too."""
NOT_IN_NAMES = '/\\:*?"<>|'
"""Separators, and what Windows keeps for itself."""
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Devices of Windows."""


def check_name(name: str, source: str) -> str:
    """The name of an experiment, if it can be one.

    Args:
        name: As it was given.
        source: Where it comes from, as in "--name".

    Raises:
        UsageError: It would be a path, hidden, unprintable, reserved or too long.
    """
    problem = _name_problem(name)
    if problem:
        raise UsageError(
            f"{source} gives the experiment the name {name!r}, which {problem}",
            "Give it a name of letters, digits, '.', '-' and '_': --name NAME",
        )
    return name


def _name_problem(name: str) -> str | None:
    """Return the reason that a text cannot be a name; None where it can."""
    bad = " ".join(sorted(set(name) & set(NOT_IN_NAMES)))
    problems = {
        "is empty": not name.strip(),
        "has characters that cannot be printed": not name.isprintable(),
        f"has {bad} in it": bool(bad),
        "begins with '.' or '-'": name.startswith((".", "-")),
        "ends with '.'": name.endswith("."),
        "has blanks around it": name != name.strip(),
        "Windows keeps for a device": RESERVED.fullmatch(name) is not None,
        f"is longer than {LONGEST_EXPERIMENT} bytes": len(name.encode(errors="replace")) > LONGEST_EXPERIMENT,
    }
    return next((problem for problem, applies in problems.items() if applies), None)
