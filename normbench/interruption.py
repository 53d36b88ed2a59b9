"""Ctrl-C and SIGTERM, ending in exit code 130. The first signal wins, from the first moment on.

This module is imported before all others, so it imports nothing that takes time.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from normbench.errors import INTERRUPTED, NormbenchError

RESUMING = ("train", "compare", "batch-size", "claims", "rank", "tune")
"""Commands that train runs, and go on where they were interrupted; the others are short, and begin anew."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 2.0
"""Seconds that a process may take to end after the first signal; another one after that ends it at once."""

OURS = "normbench-"
"""Prefix of the names of threads that do not outlive the process."""


class _Process:
    """The state of this process; there is one of it, as there is one process."""

    first: float | None = None
    """The moment of the first signal."""
    exit_code: int | None = None
    """Set once nothing is left to interrupt."""


def happened() -> bool:
    """True once the process was told to end, whatever became of the exception that this raised."""
    return _Process.first is not None


@contextmanager
def handled() -> Iterator[None]:
    """Handle the signals meanwhile; those that the process was started to ignore, as in the background, stay so."""
    before = install()
    try:
        yield
    finally:
        if any(handler is not _handle for handler in before.values()):
            for number, handler in before.items():
                signal.signal(number, handler)
            _Process.first, _Process.exit_code = None, None


def install() -> dict[signal.Signals, Any]:
    """Handle the signals from now on; returns what handled them before."""
    before = {}
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN:
            with suppress(ValueError):  # only the main thread handles signals
                signal.signal(number, _handle)
                before[number] = handler
    return before


def raise_again_if_lost() -> None:
    """Let an interruption that falls into code whose exceptions Python ignores, as a destructor, not be lost."""
    ignored = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if happened() and issubclass(unraisable.exc_type, KeyboardInterrupt):
            _signal_soon()
        else:
            ignored(unraisable)

    sys.unraisablehook = hook


def end(code: int) -> None:
    """Take no interruption any more: the process is about to exit with this code."""
    _Process.exit_code = code


def words() -> NormbenchError:
    """The error of an interrupted command: what is kept, and the command that goes on."""
    import shlex

    typed = [word for word in sys.argv[1:] if word != "--force"]  # which starts from scratch
    again = shlex.join(["normbench", *typed])
    if sys.argv[1:2] and sys.argv[1] in RESUMING and "--notebook" not in sys.argv:  # which keeps no runs
        return NormbenchError("interrupted; finished epochs are kept", f"Go on with: {again}", INTERRUPTED)
    return NormbenchError("interrupted", f"Start again with: {again}", INTERRUPTED)


def _handle(_number: int, frame: FrameType | None) -> None:
    """A batch system's SIGTERM ends a run as Ctrl-C does: what is finished is kept, and the way on is said."""
    if _Process.exit_code is not None:
        os._exit(_Process.exit_code)
    now = time.monotonic()
    if _Process.first is not None:
        if now - _Process.first > PATIENCE:
            os._exit(INTERRUPTED)
        return  # an exception now would fall into the midst of what the first one has begun to clear up
    _Process.first = now
    if _importing(frame):
        _leave()
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Detect an import in progress: some take an exception there for a broken installation, and lose it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave() -> None:
    """Say that the process was interrupted, and end it: on the disk everything is whole at any moment."""
    with suppress(Exception):  # a module that the words need may be half imported
        say(words())
    os._exit(INTERRUPTED)


def say(error: NormbenchError) -> None:
    """Print an error where the means for it may be missing: memory, or modules that are imported just now."""
    if "--json" in sys.argv:
        import json

        described = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
        os.write(1, (json.dumps({"schema_version": 1, "error": described}, indent=2) + "\n").encode())
    shown = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides the cursor
    hint = f"hint: {error.hint}\n" if error.hint else ""
    os.write(2, f"{shown}error: {error.message}\n{hint}".encode(errors="backslashreplace"))


def _signal_soon() -> None:
    import threading

    def again() -> None:
        time.sleep(0.01)
        _Process.first = None
        signal.raise_signal(signal.SIGINT)  # Python handles it in the main thread

    with suppress(RuntimeError):
        threading.Thread(target=again, daemon=True).start()
