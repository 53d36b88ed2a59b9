"""The process of the command line: `python -m normbench` and the console script. Signals are handled first of all."""

import os
import signal


def _leave(_number: int, _frame: object) -> None:
    os.write(2, b"error: interrupted\n")
    os._exit(130)


for _signal in (signal.SIGINT, signal.SIGTERM):  # until the imports below are through
    if signal.getsignal(_signal) is not signal.SIG_IGN:
        signal.signal(_signal, _leave)

import sys  # noqa: E402
import threading  # noqa: E402

from normbench import interruption  # noqa: E402
from normbench.errors import INTERRUPTED  # noqa: E402

interruption.install()


def main() -> None:
    """Run the command line, and let nothing disturb its exit code."""
    from normbench.cli.main import main as run

    interruption.raise_again_if_lost()
    try:
        run()
    except KeyboardInterrupt:  # between the last word and the exit
        _exit(INTERRUPTED)
    except SystemExit as left:
        _exit(left.code if isinstance(left.code, int) else int(left.code is not None))


def _exit(code: int) -> None:
    interruption.end(code)
    # After a KeyboardInterrupt inside `exec` of a string, as in a dataclass, Python ends the process by SIGINT even if
    # it was caught. Running another string clears that flag.
    exec("")
    if interruption.happened():  # the teardown takes our handlers away, and a second signal would change the exit code
        for number in interruption.SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    if any(thread.name.startswith(interruption.OURS) for thread in threading.enumerate()):
        # One of them hangs, or computes: the interpreter must not be torn down under it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
