"""Text from outside shown as text: control characters escaped, and plain signs where an encoding lacks one."""

import codecs
import re

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""C0, C1, marks of direction, invisible characters and lone surrogates: all that moves a cursor or hides a text.
Tabs and line breaks are left: our own messages have them."""

PLAIN_SIGNS = "normbench-plain-signs"
"""Name of the error handler for streams whose encoding lacks a sign (`reconfigure(errors=...)`)."""

SIGNS = {
    "±": "+/-", "×": "x", "÷": "/", "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "·": ".", "•": "*", "…": "...",
    "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~",
    "√": "sqrt", "∞": "inf", "²": "^2", "³": "^3", "°": " deg", "α": "alpha", "β": "beta", "γ": "gamma", "ε": "eps",
    "μ": "mu", "σ": "sigma", "✓": "ok", "✗": "x", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip
RANGES = (("\u2500", "\u257f", "+"), ("\u2580", "\u259f", "#"), ("\u2801", "\u28ff", "."), ("\u2800", "\u2800", " "))
"""Lines, bars, and the braille that curves are drawn with: one sign for one, so that lengths stay."""
HORIZONTAL, VERTICAL = "─━┄┅┈┉╌╍═╴╶╸╺╼╾", "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"


def visible(text: str, lines: bool = True) -> str:
    r"""Escape control characters as Python does (`\x1b`, `\u202e`).

    Args:
        text: From outside: a name, a path, a message of another program.
        lines: Leave tabs and line breaks; without, they are escaped, too, as a name needs that stands in one line.
    """
    shown = CONTROLS.sub(_escaped, text)
    return shown if lines else re.sub("[\t\n]", _escaped, shown)


def plain(text: str, encoding: str) -> str:
    """Replace the signs that an encoding lacks by plain ones; lines and bars keep their length."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if _encodes(character, encoding) else _sign(character) for character in text)
    except LookupError:
        return plain(text, "ascii")
    return text


def counted(count: int, noun: str) -> str:
    """Format a number with its noun in the singular or plural: `1 run`, `1,200 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _encodes(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _escaped(found: "re.Match[str]") -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _sign(character: str) -> str:
    if character in SIGNS:
        return SIGNS[character]
    if character in HORIZONTAL or character in VERTICAL:
        return "-" if character in HORIZONTAL else "|"
    drawn = next((sign for first, last, sign in RANGES if first <= character <= last), "")
    return drawn or character.encode("unicode_escape").decode("ascii")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_sign, error.object[error.start : error.end])), error.end


codecs.register_error(PLAIN_SIGNS, _replace)
