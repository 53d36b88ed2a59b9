"""Failures for lack of memory or threads. They are told from others by what torch and the system say."""

import errno
from collections.abc import Iterator

from normbench.errors import NormbenchError, RunFailedError

MEMORY = (
    "bad_alloc",
    "not enough memory",
    "out of memory",
    "allocate memory",
    "failed to map segment",
    "unable to mmap",
    "memoryerror",
)
"""Messages of torch, of the loader of shared libraries and of the system, in lower case."""
THREADS = ("can't start new thread", "pthread_create", "thread creation failed")
DEEPEST = 20
"""Failures behind a failure that are looked at."""


def shortage(error: BaseException) -> RunFailedError | None:
    """The error for a lack of memory or threads if one is behind a failure; None for any other failure."""
    for cause in _chain(error):
        if isinstance(cause, NormbenchError):  # what it says may be the user's words
            continue
        text = f"{type(cause).__name__}: {cause}".lower()
        number = cause.errno if isinstance(cause, OSError) else None
        if isinstance(cause, MemoryError) or number == errno.ENOMEM or any(words in text for words in MEMORY):
            return RunFailedError(
                "there is not enough memory for this",
                "Fewer runs at once (--jobs 1), a smaller --batch-size or --subset take less; or raise the limit, as "
                "`ulimit -v` shows it.",
            )
        if any(words in text for words in THREADS):
            return RunFailedError(
                "the system grants no more threads",
                "OMP_NUM_THREADS=1 and --jobs 1 need fewer; or raise the limit, as `ulimit -u` shows it.",
            )
        if isinstance(cause, SystemError) and _is_limited():
            return shortage(MemoryError())
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _is_limited() -> bool:
    """Test if the process has a limit of memory, in which C code may fail without saying why."""
    try:
        import resource
    except ImportError:
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
