"""The standard streams and the surroundings of the process, so that none of them stops a command."""

import os
import sys
from typing import Any

from normbench.errors import NormbenchError, UsageError
from normbench.text import PLAIN_SIGNS

WIDEST = 1000
"""Columns or lines that a terminal can be said to have."""


def prepare() -> None:
    """Let the streams take any text, and the next files that are opened not be taken for closed streams."""
    _fill_closed()
    for stream, errors in ((sys.stdout, PLAIN_SIGNS), (sys.stderr, PLAIN_SIGNS), (sys.stdin, "backslashreplace")):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)
    for name in ("COLUMNS", "LINES"):  # what is no size of a terminal is none for rich and Typer either
        size = os.environ.get(name, "")
        if not (size.isascii() and size.isdigit() and 0 < int(size[:9]) <= WIDEST and len(size) <= 9):
            os.environ.pop(name, None)


def _fill_closed() -> None:
    """Open nothing in the place of each closed descriptor 0 to 2: a file of ours would get its number, and output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def end(code: int) -> int:
    """Flush stdout and return the exit code, another one where what was printed could not be written."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        from normbench.console.terminal import silence

        silence(sys.stdout)
        return code or 1
    return code


def is_terminal(stream: Any) -> bool:
    """Whether a stream is open and a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it was closed meanwhile
        return False


def check_folder() -> None:
    """Make sure that the folder in which the process was started still exists: MKL ends the process where it does not.

    Raises:
        UsageError: It does not.
    """
    try:
        os.getcwd()  # noqa: PTH109  # Path.cwd() does just this
    except OSError as error:
        hint = "Change to a folder that exists: cd"
        raise UsageError("the folder in which this was started does not exist any more", hint) from error


def in_words(error: BaseException) -> NormbenchError | None:
    """A failure of the system in words: what is said, and of which file; None for any other."""
    if not isinstance(error, OSError):
        return None
    where = f"{error.filename}: " if error.filename is not None else ""
    return NormbenchError(f"{where}{error.strerror or error}")
