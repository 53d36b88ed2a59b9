"""The two streams as rich consoles: nothing is markup, nothing is cut, and a stream that fails ends in words."""

import contextlib
import os
import select
import sys
from collections.abc import Iterable
from typing import IO, Any

import rich.text
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.protocol import rich_cast
from rich.segment import Segment

from normbench.console.text import Text, for_encoding
from normbench.errors import RunFailedError
from normbench.text import plain, visible

NARROWEST, WIDEST = 40, 400
"""Columns that are laid out for; a terminal that is narrower folds the lines by itself."""
PIPE = 140
"""Columns of a stream that has no width of its own, as a pipe."""


class Terminal(Console):
    """A rich console for text of any origin.

    Args:
        progress: Whether it is stderr, which carries progress and words: its failure stops nothing. The result is
            on stdout, whose failure is an error.
    """

    def __init__(self, progress: bool = False, width: int | None = None) -> None:
        self.progress = progress
        super().__init__(stderr=progress, highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)

    @property
    def size(self) -> ConsoleDimensions:
        """Of the terminal, within what can be laid out."""
        found = super().size
        return ConsoleDimensions(min(max(found.width, NARROWEST), WIDEST), found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    @property
    def file(self) -> IO[str]:
        """The stream, guarded against its failure."""
        return Guarded(super().file, self.progress)  # type: ignore[return-value]

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **settings: Any) -> rich.text.Text:
        """A plain string as text, its control characters shown."""
        return super().render_str(visible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of whatever is printed; the last place where a sign or a control character can be caught."""
        cast = rich_cast(renderable)
        if isinstance(cast, rich.text.Text):
            cast = for_encoding(cast, self.encoding)
        for segment in super().render(cast, options):
            text, style, control = segment
            yield segment if control else Segment(plain(visible(text), self.encoding), style)


class Guarded:
    """A text stream whose failure ends in words, or in nothing where it carries progress only.

    When both streams go to one reader, and that goes away, the command ends.
    """

    def __init__(self, stream: Any, progress: bool) -> None:
        self.stream, self.progress = stream, progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, or say why not."""
        with self._guard():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or say why not."""
        with self._guard():
            self.stream.flush()

    @contextlib.contextmanager
    def _guard(self) -> Any:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            silence(self.stream)
            if self.progress and not (isinstance(error, BrokenPipeError) and unread(sys.stdout)):
                return
            if isinstance(error, BrokenPipeError):  # the reader has seen enough
                raise SystemExit(1) from error
            raise lost(getattr(error, "strerror", None) or str(error)) from error


def lost(reason: str) -> RunFailedError:
    """The error for a result that cannot be printed."""
    return RunFailedError(f"the result cannot be printed: {reason}", "What is written under --out is not lost.")


def silence(stream: Any) -> None:
    """Send what a failed stream still holds, and all that is to come, nowhere: it would fail again at the exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def unread(stream: Any) -> bool:
    """Whether a stream is a pipe whose reader is gone: what is computed for it is computed for nobody."""
    try:
        watched = select.poll()
        watched.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in watched.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, no descriptor, or closed
        return False


def closed_stdout() -> bool:
    """Whether the process was started without a stdout."""
    return sys.stdout is None


__all__ = ["PIPE", "Terminal", "Text", "closed_stdout", "lost", "silence", "unread"]
