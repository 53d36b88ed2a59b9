"""Output of a command in three modes. The result goes to stdout; progress, warnings, hints and errors to stderr."""

import contextlib
import json
import math
import os
import select
import sys
from collections.abc import Iterable
from typing import IO, Any, Literal

import rich.text
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.protocol import rich_cast
from rich.segment import Segment

from normbench.console.text import Text, for_encoding
from normbench.errors import NormbenchError, RunFailedError
from normbench.text import plain, visible

Mode = Literal["human", "json", "quiet"]
SCHEMA_VERSION = 1
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


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream is open and a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it was closed meanwhile
        return False


class Output:
    """Where commands put what they found; each call says what every mode shows."""

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode
        self.stdout = Terminal()
        self.stderr = Terminal(progress=True)
        if not self.stdout.is_terminal:
            self.stdout = Terminal(width=max(self.stdout.width, PIPE))

    def result(self, human: RenderableType | list[RenderableType], document: dict[str, Any], quiet: str) -> None:
        """Print a command's result: rich for people, one document with `--json`, the bare value with `-q`.

        Raises:
            RunFailedError: stdout is closed, or full.
        """
        if self.mode == "json":
            self.document(document)
        elif self.mode == "quiet":
            self._write(visible(quiet) + "\n")  # rich would make spaces of the tabs
        else:
            for part in human if isinstance(human, list) else [human]:
                self.stdout.print(part, crop=False)
            self._write("")

    def document(self, content: dict[str, Any]) -> None:
        """Print the one JSON document of a command; NaN and infinity become null, as JSON has neither."""
        document = {"schema_version": SCHEMA_VERSION} | content
        text = json.dumps(_without_nan(document), indent=2, default=str, allow_nan=False)
        self._write(text.replace("\x7f", r"\u007f") + "\n")  # the one control character that json leaves as it is

    def _write(self, text: str) -> None:
        if sys.stdout is None:
            raise lost("stdout is closed")
        self.stdout.file.write(text)
        self.stdout.file.flush()

    def note(self, message: str) -> None:
        """Say something on stderr that belongs to no result; `-q` leaves it out."""
        if self.mode != "quiet":
            self.stderr.print(Text(message), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Say on stderr what the user should know, in every mode."""
        self.stderr.print(Text.assemble(("warning:", "yellow"), f" {message}"), soft_wrap=True)

    def error(self, error: NormbenchError) -> None:
        """Say on stderr what is wrong and what to try; with `--json` on stdout as a document too."""
        if self.mode == "json":
            described = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
            with contextlib.suppress(NormbenchError, SystemExit):  # stdout may be what the error is about
                self.document({"error": described})
        self.stderr.print(Text.assemble(("error:", "bold red"), f" {error.message}"), soft_wrap=True)
        if error.hint:
            self.stderr.print(Text(f"hint: {error.hint}", style="dim"), soft_wrap=True)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
