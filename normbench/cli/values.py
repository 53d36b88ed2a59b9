"""What a flag's text stands for: a number in plain digits, a text that is not empty, a path that can be one."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from normbench.errors import UsageError, shortened

T = TypeVar("T")

WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
MOST_DIGITS = 40


def whole(text: str) -> int:
    """The integer of a text in the digits 0 to 9, which Python alone would not insist on.

    Raises:
        ValueError: It is none.
    """
    if not WHOLE.fullmatch(text.strip(" ")) or len(text) > MOST_DIGITS:
        raise ValueError(f"not an integer: {text}")
    return int(text)


def number(text: str) -> float:
    """The number of a text in the digits 0 to 9.

    Raises:
        ValueError: It is none.
    """
    if not NUMBER.fullmatch(text.strip(" ")):
        raise ValueError(f"not a number: {text}")
    return float(text)


def several(text: str, value: Callable[[str], T]) -> tuple[T, ...]:
    """The values of a text with commas, each once.

    Raises:
        ValueError: One of them is none.
    """
    return tuple(dict.fromkeys(value(part) for part in text.split(",")))


def parser(kind: type, flag: str, bounds: tuple[int, int] | None = None) -> Callable[[str], Any]:
    """The function that reads the text of a flag.

    Args:
        kind: `str`, `int`, `float` or `Path`.
        flag: As it is typed, for the errors.
        bounds: The smallest and the largest integer that the flag takes, where no setting says so.
    """

    def read(text: str) -> Any:
        if kind is Path:
            from normbench.config.validation import user_path

            return user_path(text, flag)
        if not text.strip():
            raise UsageError(f"{flag} is empty", "Leave it out, or give it a value.")
        if kind is str:
            from normbench.config.validation import check_text

            return check_text(text, flag)
        try:
            found = whole(text) if kind is int else number(text)
        except ValueError as error:
            kind_word = "an integer" if kind is int else "a number"
            raise UsageError(f"{flag} {shortened(text)}: not {kind_word} in the digits 0 to 9") from error
        if bounds and not bounds[0] <= found <= bounds[1]:
            raise UsageError(f"{flag} {found}: from {bounds[0]:,} to {bounds[1]:,} is possible")
        return found

    return read
