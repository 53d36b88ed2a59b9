"""Files that are never half written."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path`, force it to the disk, then put it in place in one step.

    Whoever reads `path` meanwhile, or after a crash, finds the old content or the new one, whole.

    Raises:
        OSError: The folder is missing or cannot be written.
    """
    # In a folder of its own, as a temporary file of `tempfile` could be read by its owner only, and stay so.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        beside = Path(folder) / path.name
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)


def replace_text(path: Path, text: str) -> None:
    """`replace` with a text, in UTF-8 with the line ends as they stand in it."""
    replace(path, lambda beside: beside.write_text(text, encoding="utf-8", newline=""))
