"""Names of norms as text: `gn`, `gn(groups=8)`, `mynorm.py:Scale(power=0.5)`, optionally with a switch such as `+ws`.

This is the syntax alone: whether there is such a norm, and which arguments it takes, is up to `normbench.norms`.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from normbench.errors import UsageError, guess, shortened

Argument = int | float | bool | str | None

WEIGHT_STANDARDIZATION, WEIGHT_NORMALIZATION, CENTERED_WEIGHT_NORMALIZATION = "+ws", "+wn", "+cwn"
WEIGHT_SWITCHES = (WEIGHT_STANDARDIZATION, WEIGHT_NORMALIZATION, CENTERED_WEIGHT_NORMALIZATION)
"""Switches at the end of a norm's name: weight standardization, weight normalization, and the latter centered."""

LONGEST_ARGUMENTS = 500
"""Characters between the parentheses."""
MOST_DIGITS = 40
LABEL_OF_ARGUMENTS = 40
"""Characters of the arguments in a file name; the fingerprint tells longer ones apart."""
FORM = "Arguments are given by name, as in gn(groups=8) or lrn(alpha=0.0005,k=2)+ws."

CONSTANTS: dict[str, Argument] = {"true": True, "false": False, "none": None}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
BUILT_IN = re.compile(r"(?P<base>[^:()]*)\((?P<arguments>.*)\)", re.DOTALL)
FACTORY = re.compile(r":[^\W\d]\w*\(")
"""Begins the arguments of a custom norm; parentheses before it are those of a path."""


@dataclass(frozen=True)
class NormName:
    """A norm's name in its parts; its text is canonical, so that equal names have equal texts."""

    base: str
    """A built-in norm, `file.py:factory` or `package.module:factory`."""
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    weights: str = ""
    """Switch for the weights of the convolutions before it, of `WEIGHT_SWITCHES`, or empty."""

    @classmethod
    def parse(cls, text: str) -> "NormName":
        """Read a name as a user types it.

        Raises:
            UsageError: The arguments are not of the form `(name=value, ...)`.
        """
        text = text.strip()
        weights, bare = _switch(text)
        _refuse_second_switch(text, weights, bare)
        base, arguments = _split(bare)
        if arguments is None:
            return cls(base, {}, weights)
        _refuse_second_switch(text, weights, base)
        other, _ = _switch(base)
        if other:
            base = base.removesuffix(other)
            raise UsageError(f"norm '{shortened(text)}': {other} goes to the end", f"Write {base}({arguments}){other}.")
        if len(arguments) > LONGEST_ARGUMENTS:
            raise UsageError(f"norm '{shortened(text)}': at most {LONGEST_ARGUMENTS} characters of arguments")
        return cls(base, _arguments(arguments, text), weights)

    @property
    def is_custom(self) -> bool:
        """True for a custom norm, whose code is imported."""
        return ":" in self.base

    @property
    def alone(self) -> "NormName":
        """The name of the norm without a switch for weights."""
        return replace(self, weights="")

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Names whose settings in a recipe apply to it, the most general first."""
        names = [NormName(self.base), self.alone]
        if self.weights:
            names += [NormName(self.base, {}, self.weights), self]
        return tuple(dict.fromkeys(map(str, names)))

    @property
    def label(self) -> str:
        """The name in letters that need no quotes in a shell, for folders and files: `gn-groups8+ws`."""
        values = "-".join(f"{name}{_plain(value)}" for name, value in sorted(self.arguments.items()))
        arguments = f"-{values[:LABEL_OF_ARGUMENTS].strip('-.')}" * bool(values)
        text = self.base + arguments + self.weights
        return re.sub(r"[^A-Za-z0-9+._-]+", "-", text).strip("-.")

    def __str__(self) -> str:
        """The canonical spelling: arguments sorted by name, values in their shortest form."""
        arguments = ",".join(f"{name}={_spelt(value)}" for name, value in sorted(self.arguments.items()))
        return self.base + f"({arguments})" * bool(arguments) + self.weights


def canonical_text(text: str) -> str:
    """The text that all spellings of a name share, as far as syntax tells.

    Raises:
        UsageError: The arguments are not of the form `(name=value, ...)`.
    """
    return str(NormName.parse(text))


def split_names(text: str) -> tuple[str, ...]:
    """The names in a text with commas, each once and none empty; commas in parentheses do not separate."""
    parts = _parts(text, quotes_from=1)
    return tuple(dict.fromkeys(name for part in (parts or text.split(",")) if (name := part.strip())))


def _switch(text: str) -> tuple[str, str]:
    """Split off the switch for weights at the end of a name, if there is one."""
    switch = next((switch for switch in WEIGHT_SWITCHES if text.endswith(switch)), "")
    return switch, text.removesuffix(switch).rstrip()


def _refuse_second_switch(text: str, first: str, rest: str) -> None:
    second, _ = _switch(rest)
    if first and second:
        raise UsageError(
            f"norm '{shortened(text)}': {second} and {first} are two ways to treat the same weights", "Choose one."
        )


def _split(text: str) -> tuple[str, str | None]:
    """The name before the arguments, and the text between their parentheses; None where there are none."""
    for match in FACTORY.finditer(text):
        inside = text[match.end() : -1]
        if text.endswith(")") and _parts(inside) is not None:
            return text[: match.end() - 1].strip(), inside
    if built_in := BUILT_IN.fullmatch(text):
        return built_in["base"].strip(), built_in["arguments"]
    if ":" not in text and "(" in text:
        end = text.rfind(")") + 1
        switch = guess(text[end:], [*WEIGHT_SWITCHES]) if end else None
        meant = f"Did you mean '{shortened(text[:end] + switch)}'? " if switch else ""
        raise UsageError(f"norm '{shortened(text)}': its parentheses do not close at its end", meant + FORM)
    return text, None


def _arguments(text: str, name: str) -> dict[str, Argument]:
    where = f"norm '{shortened(name)}'"
    arguments: dict[str, Argument] = {}
    parts = _parts(text)
    if parts is None:
        raise UsageError(f"{where}: a parenthesis or a quote is left open", FORM)
    for part in parts if text.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier() or not key.isascii() or not value:
            raise UsageError(f"{where}: '{shortened(part.strip())}' is not of the form name=value", FORM)
        if key in arguments:
            raise UsageError(f"{where}: the argument {key} is given twice", "Give it once.")
        try:
            arguments[key] = _value(value)
        except ValueError as error:
            raise UsageError(
                f"{where}: {key} = {shortened(value)} is no number, true, false, none, word or text in quotes", FORM
            ) from error
    return arguments


def _value(text: str) -> Argument:
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    if NUMBER.fullmatch(text) and len(text) <= MOST_DIGITS:
        return _number(float(text)) if re.search(r"[.eE]", text) else int(text)
    if WORD.fullmatch(text) and text.lower() not in {"inf", "infinity", "nan"}:
        return text
    if text[:1] == text[-1:] == "'" and len(text) > 1 and not re.search(r"['\"\\]", text[1:-1]):
        return text[1:-1]
    value = json.loads(text)
    if isinstance(value, str) and value.isprintable():
        return value
    raise ValueError(text)


def _number(value: float) -> int | float:
    """The number; a whole one as an integer, so that 2.0 and 2 are spelt alike."""
    if not math.isfinite(value):
        raise ValueError(value)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _spelt(value: Argument) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        bare = WORD.fullmatch(value) and value.lower() not in {*CONSTANTS, "inf", "infinity", "nan"}
        return value if bare else json.dumps(value, ensure_ascii=False)
    return _plain(value)


def _plain(value: Argument) -> str:
    if isinstance(value, float):
        return re.sub(r"e([+-])0+", r"e\1", repr(_number(value)))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _parts(text: str, quotes_from: int = 0) -> list[str] | None:
    """The pieces between commas outside of parentheses and quotes; None where one of these is left open.

    Quotes count within so many parentheses: the names of files may have an apostrophe.
    """
    parts, start, depth, quote, escaped = [], 0, 0, "", False
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "\"'" and depth >= quotes_from:
            quote = character
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth < 0:
                return None
        elif character == "," and not depth:
            parts.append(text[start:index])
            start = index + 1
    return None if depth or quote else [*parts, text[start:]]
