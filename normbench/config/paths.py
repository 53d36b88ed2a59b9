"""Paths that a user gives: the home folder expanded, and what can be no path refused in words."""

import os
from pathlib import Path

from normbench.errors import UsageError, shortened

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
