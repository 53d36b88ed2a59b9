"""One process at a time writes a run; another learns who it is."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import Timeout

from normbench import locking
from normbench.errors import UsageError
from normbench.files import remove_unfinished
from normbench.locking import HOLDER, Warn

LOCK = ".lock"

__all__ = ["HOLDER", "LOCK", "held"]


@contextmanager
def held(folder: Path, warn: Warn | None = None) -> Iterator[None]:
    """Create a run's folder and hold it; what a killed process was writing there is removed.

    Args:
        folder: The run's folder.
        warn: Told where the file system has no locks of its own.

    Raises:
        UsageError: The folder cannot be written, or another process holds it; names that process.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = locking.acquire(folder / LOCK, warn=warn)
            stack.callback(lock.release)
            stack.enter_context(locking.named(folder))
        except Timeout as error:
            raise UsageError(
                f"{folder} is being written by {locking.holder_of(folder)}",
                "Wait until it is done, or give another --out folder.",
            ) from error
        except OSError as error:
            raise UsageError(
                f"cannot write to the output folder {folder}: {error.strerror or error}",
                "Give a folder that can be written: --out FOLDER",
            ) from error
        remove_unfinished(folder)
        yield
