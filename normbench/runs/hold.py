"""One process at a time writes a run; another learns who it is."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from normbench.errors import UsageError
from normbench.files import remove_unfinished

LOCK, HOLDER = ".lock", ".holder"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Create a run's folder and hold it; what a killed process was writing there is removed.

    Raises:
        UsageError: The folder cannot be written, or another process holds it; names that process.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    holder = folder / HOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(_who(), encoding="utf-8")
    except Timeout as error:
        raise UsageError(
            f"{folder} is being written by {_read(holder)}", "Wait until it is done, or give another --out folder."
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot write to the output folder {folder}: {error.strerror or error}",
            "Give a folder that can be written: --out FOLDER",
        ) from error
    try:
        remove_unfinished(folder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who() -> str:
    return f"process {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M:%S}"


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8")
    except OSError:  # between taking the lock and writing the name, or just gone
        return "another process"
