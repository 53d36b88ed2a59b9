"""Writing files so that a reader finds the old content or the new one, never a part of it."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normbench.errors import RunFailedError

TEMPORARY = ".writing-"
"""What the names of unfinished files begin with; a killed process can leave one behind."""


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target, force it to the disk, then put it in place in one step.

    Args:
        path: The target; its folder exists.
        write: Writes the content to the path it is given.

    Raises:
        RunFailedError: The disk is full, or the folder cannot be written; the old content is untouched.
    """
    with in_words(path):
        temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes) -> None:
    """`replace` with bytes: what torch and safetensors write themselves fails without an OSError on a full disk."""
    replace(path, lambda temporary: temporary.write_bytes(content))


def replace_text(path: Path, text: str) -> None:
    """`replace` with a text, in UTF-8 with the line ends as they stand in it."""
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline=""))


def json_text(content: Any, indent: int | None = 2) -> str:
    """A value as JSON, which has neither NaN nor infinity.

    Raises:
        ValueError: There is one in it.
    """
    return json.dumps(content, indent=indent, allow_nan=False)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process was writing."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn a failure to write a path into words; what was there before is still there."""
    try:
        yield
    except OSError as error:
        raise RunFailedError(
            f"cannot write {path}: {error.strerror or error}",
            "Nothing finished is lost: make room or give another --out, and run the same command again.",
        ) from error
