"""Parsing of the texts of flags: numbers in the digits 0 to 9, paths, names, lists with commas, --set."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

from normbench.config.norm_names import split_names
from normbench.config.validation import check_name, check_text, user_path
from normbench.errors import UsageError, shortened

MOST_VALUES = 100
"""Values that a comma-separated flag accepts."""
MOST_PARTS = 10_000
"""Parts that --shard divides a plan into: as many as a plan has runs at most."""
MOST_KEY_PARTS = 10
"""Parts that the key of --set accepts."""
MOST_DIGITS = 40

WHOLE = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
NORM_SETTING = re.compile(r"\s*norm\s*\.(?P<norm>.+)\.\s*(?P<key>\w+)\s*=(?P<value>.*)", re.DOTALL)
"""Setting of a single norm, as `norm.gn.lr=0.1`; the name of a custom norm contains dots."""

NAMES = {int: "an integer", float: "a number"}


def parser(kind: Any, flag: str, bounds: tuple[int, int] | None = None, example: str = "") -> Callable[[str], Any]:
    """Make the function that parses the text of a flag.

    Args:
        kind: `str`, `int`, `float`, `Path`, or a tuple of one of them for values with commas.
        flag: Spelling of the flag, for errors.
        bounds: Smallest and largest integer that the flag accepts.
        example: Value for the hint of an error.
    """

    def parse(text: str) -> Any:
        if kind is Path:
            return user_path(text, flag)
        if not text.strip():
            raise UsageError(f"{flag} is empty", "Omit it, or give it a value.")
        text = check_text(text, flag)
        if kind is str:
            return text
        if get_origin(kind) is not tuple:
            return _number(kind, text, flag, bounds)
        item = get_args(kind)[0]
        return _names(text, flag, example) if item is str else _numbers(item, text, flag)

    return parse


def _number(kind: type, text: str, flag: str, bounds: tuple[int, int] | None) -> float:
    try:
        value = whole(text) if kind is int else number(text)
    except ValueError as error:
        if "," in text:
            hint = "Several learning rates or weight decays are searched by `normbench compare`."
            raise UsageError(f"{flag} takes one value here", hint) from error
        raise UsageError(f"{flag} {shortened(text)}: not {NAMES[kind]} in the digits 0 to 9") from error
    if bounds and not bounds[0] <= value <= bounds[1]:
        raise UsageError(f"{flag} {shortened(text)}: must be from {bounds[0]:,} to {bounds[1]:,}")
    return value


def _numbers(kind: type, text: str, flag: str) -> tuple[float, ...]:
    """Parse comma-separated numbers, each once: integers in ascending order, others in the order typed."""
    try:
        numbers = tuple(dict.fromkeys((whole if kind is int else number)(part) for part in text.split(",")))
    except ValueError as error:
        message = f"{flag} {shortened(text)}: not {NAMES[kind]}, nor several separated by commas"
        raise UsageError(message, f"For example: {flag} {'2,8,32' if kind is int else '0.01,0.1'}") from error
    if len(numbers) > MOST_VALUES:
        raise UsageError(f"{flag}: {len(numbers):,} values; at most {MOST_VALUES} are allowed")
    return tuple(sorted(numbers)) if kind is int else numbers


def _names(text: str, flag: str, example: str) -> tuple[str, ...]:
    """Parse comma-separated names, each once; commas in parentheses belong to the arguments of a norm."""
    names = split_names(text)
    if not names:
        raise UsageError(f"{flag} {shortened(text)} names nothing", f"For example: {flag} {example}" if example else "")
    return names


def whole(text: str) -> int:
    """Parse an integer in the digits 0 to 9, and in no other digits that Python accepts.

    Raises:
        ValueError: The text is no integer.
    """
    if not WHOLE.fullmatch(text.strip(" ")) or len(text) > MOST_DIGITS:
        raise ValueError(f"not an integer: {text}")
    return int(text)


def number(text: str) -> float:
    """Parse a number in the digits 0 to 9.

    Raises:
        ValueError: The text is no number.
    """
    if not NUMBER.fullmatch(text.strip(" ")):
        raise ValueError(f"not a number: {text}")
    return float(text)


def check_experiment(text: str) -> str:
    """Return the name of an experiment that --name gives.

    Raises:
        UsageError: No folder can have that name.
    """
    return check_name(check_text(text, "--name"), "--name")


def parse_shard(text: str) -> tuple[int, int]:
    """Parse the part of a plan that --shard names, as I/N.

    Raises:
        UsageError: The text is not of the form I/N with I from 1 to N.
    """
    try:
        part, parts = map(whole, text.split("/"))
    except ValueError:
        part = parts = 0
    if not 1 <= part <= parts <= MOST_PARTS:
        raise UsageError(
            f"--shard {shortened(text)}: not of the form I/N with I from 1 to N", "For example: --shard 1/4"
        )
    return part, parts


def parse_assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """Parse the text of --set, as `training.lr=0.1`, into the path of a key and a value.

    The value is read as TOML, or as text where it is no TOML.

    Raises:
        UsageError: The text is not of the form KEY=VALUE.
    """
    text = check_text(text, "--set")
    path: tuple[str, ...]
    if of_norm := NORM_SETTING.fullmatch(text):
        equals, path = "=", ("norm", of_norm["norm"].strip("\"' "), of_norm["key"])
        value = of_norm["value"]
    else:
        key, equals, value = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path) or len(path) > MOST_KEY_PARTS:
        raise UsageError(
            f"--set {shortened(text)}: not of the form KEY=VALUE", "For example: --set training.momentum=0.95"
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # no TOML: a bare word, or a list of a thousand lists
        parsed = {"value": value}
    return path, parsed["value"] if parsed.keys() == {"value"} else value
