"""Locks between processes, with their holders' names. They also work on file systems that refuse locks.

`flock` is released by the kernel when its process dies. Some network file systems refuse it; there a file that only one
process can create is the lock, and a killed process leaves it behind until another finds that its owner is gone.

`EACCES` has two meanings: some file systems refuse every lock with it, others a lock that another process holds. A file
that no other process knows tells them apart.
"""

import contextlib
import errno
import os
import platform
import threading
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

_PROBE = ".writing-lock-"
"""Prefix of a file on which a lock is tried; one that a killed process leaves goes the way of unfinished files."""

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
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=0.0)
    except Timeout:
        if not _is_refused(path):
            lock.acquire(timeout=timeout)
            return lock
    except OSError as error:
        if error.errno not in REFUSED:
            raise
    else:
        return lock
    lock = SoftFileLock(f"{path}{SOFT}", timeout=timeout)
    lock.acquire()
    if warn is not None:
        warn(
            f"the file system of {path.parent} has no locks, so a file stands for one: if a process is killed, "
            f"{path.name}{SOFT} may have to be removed by hand"
        )
    return lock


def _is_refused(path: Path) -> bool:
    """Test whether a lock that cannot be taken fails with EACCES, and a new file beside it fails likewise."""
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ImportError:
        return False

    def denied(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno == errno.EACCES
        finally:
            os.close(descriptor)
        return False

    if not denied(os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))):
        return False
    probe = path.with_name(f"{_PROBE}{os.getpid()}-{threading.get_ident()}")
    try:
        return denied(os.open(probe, _WRITING, 0o600))
    finally:
        _unlink(probe)


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
