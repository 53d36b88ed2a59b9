"""Progress of a report on stderr."""

import contextlib
from types import TracebackType

from rich.status import Status

from normbench.console.output import Output
from normbench.console.text import Text


class ReportProgress:
    """Name of the current step beside a moving mark, on a terminal; a context manager, which removes it."""

    def __init__(self, output: Output) -> None:
        self.live = output.mode != "quiet" and output.stderr.is_terminal
        self.status = Status(Text("report"), console=output.stderr)

    def __enter__(self) -> "ReportProgress":
        if self.live:
            with contextlib.suppress(RuntimeError):  # no thread for the mark is available
                self.status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.status.stop()

    def step(self, name: str) -> None:
        """Show the name of a step."""
        if self.live:
            self.status.update(Text(f"report: {name} ..."))
