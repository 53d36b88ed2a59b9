"""Locks between processes, with their holders' names. They also work on file systems that refuse locks.

`flock` is released by the kernel when its process dies. Some network file systems refuse it; there a file that only one
process can create is the lock, and a killed process leaves it behind until another finds that its owner is gone.
"""

import contextlib
import errno
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

HOLDER = ".holder"
SOFT = ".soft"
"""Suffix of the file of a soft lock: the names must differ, since the file of a
refused `flock` stays and would look like a soft lock that is held."""

REFUSED = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Errors of `flock` on a file system without locks."""

_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

Warn = Callable[[str], None]


def acquire(path: Path, timeout: float = 0.0, warn: Warn | None = None) -> BaseFileLock:
    """Take a lock, or a soft one with a warning where the file system refuses locks; the caller releases it.

    Args:
        path: The lock file, in a folder that exists.
        timeout: Seconds to wait for another process; 0 tries once.
        warn: Called where the lock is a soft one.

    Raises:
        Timeout: Another process holds it.
        OSError: The file cannot be written.
    """
    lock: BaseFileLock = FileLock(path, timeout=timeout, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        lock = SoftFileLock(f"{path}{SOFT}", timeout=timeout)
        lock.acquire()
        if warn is not None:
            warn(
                f"the file system of {path.parent} has no locks, so a file stands for one: if a process is killed, "
                f"{path.name}{SOFT} may have to be removed by hand"
            )
    return lock


@contextmanager
def named(folder: Path, name: str = HOLDER) -> Iterator[None]:
    """Leave the name of this process in a folder while it holds it; nothing that lies there is written through."""
    holder = folder / name
    _unlink(holder)
    descriptor = os.open(holder, _WRITING, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"process {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")
    try:
        yield
    finally:
        _unlink(holder)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):  # what made the folder unwritable is told where it is written to
        path.unlink(missing_ok=True)


def holder_of(folder: Path, name: str = HOLDER) -> str:
    """The process that holds a folder, in words."""
    path = folder / name
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else "another process"
    except (OSError, UnicodeDecodeError):  # between taking the lock and writing the name, or just gone
        return "another process"
