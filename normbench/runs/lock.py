"""Locks of run folders: one process at a time writes a run, another one learns which."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, Timeout

from normbench import locking
from normbench.errors import UsageError
from normbench.files import REGULAR, kind_of, remove_unfinished
from normbench.locking import HOLDER, Warn

LOCK = ".lock"

__all__ = ["HOLDER", "LOCK", "HeldError", "held", "holder_of"]

GLANCE = 1.0
"""Seconds after which a lock without a name is believed: a process that looks whether a run is free takes it for a
moment, and one that has just taken it is about to write its name."""


class HeldError(UsageError):
    """Another process holds a run.

    Args:
        folder: The run's folder.
        holder: The process, as it names itself.
    """

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder} is being written by {holder}", "Wait until it is done, or give another --out folder."
        )
        self.holder = holder


@contextmanager
def held(folder: Path, warn: Warn | None = None) -> Iterator[None]:
    """Create a run's folder and hold it; what a killed process was writing there is removed.

    Args:
        folder: The run's folder.
        warn: Told where the file system has no locks of its own.

    Raises:
        HeldError: Another process holds it.
        UsageError: The folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _acquire(folder, warn)
            stack.callback(lock.release)
            stack.enter_context(locking.named(folder))
        except Timeout as error:
            raise HeldError(folder, locking.holder_of(folder)) from error
        except OSError as error:
            if in_place := _in_place_of_a_file(folder):
                path, kind = in_place
                raise UsageError(
                    f"{path} is {kind}, where a file belongs", f"Move it away, and try again: {path}"
                ) from error
            raise UsageError(
                f"cannot write to the output folder {folder}: {error.strerror or error}",
                "Give a folder that can be written: --out FOLDER",
            ) from error
        remove_unfinished(folder)
        yield


def _in_place_of_a_file(folder: Path) -> tuple[Path, str] | None:
    """Find what is no regular file and has the name of a lock, with its kind."""
    with suppress(OSError):  # the folder cannot be read either, which the caller's error says
        for path in (folder / LOCK, folder / HOLDER):
            if (kind := kind_of(path)) not in (None, REGULAR):
                return path, str(kind)
    return None


def holder_of(folder: Path) -> str | None:
    """The process that holds a run at this moment; None where none does."""
    try:
        locking.acquire(folder / LOCK).release()
    except Timeout:
        return locking.holder_of(folder)
    except OSError:  # whoever takes the run next is told why it cannot be taken
        return None
    return None


def _acquire(folder: Path, warn: Warn | None) -> BaseFileLock:
    """Take the lock at once, or raise Timeout as soon as it is certain that another process keeps it."""
    try:
        return locking.acquire(folder / LOCK, warn=warn)
    except Timeout:
        if (folder / HOLDER).exists():
            raise
        return locking.acquire(folder / LOCK, timeout=GLANCE, warn=warn)
