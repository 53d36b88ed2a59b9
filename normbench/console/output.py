"""Output of a command in three modes. The result goes to stdout; progress, warnings, hints and errors to stderr."""

import contextlib
import json
import math
import os
import select
import sys
from collections.abc import Iterable, Iterator
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
"""Range of widths that are laid out; a narrower terminal folds the lines by itself."""


class Terminal(Console):
    """Rich console for text of any origin.

    Args:
        progress: True for stderr, which carries progress and messages: its failure stops nothing. The result is on
            stdout, whose failure is an error.
    """

    def __init__(self, progress: bool = False, width: int | None = None) -> None:
        self.progress = progress
        super().__init__(stderr=progress, highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)

    @property
    def size(self) -> ConsoleDimensions:
        """Size of the terminal, its width limited to what can be laid out."""
        size = super().size
        return ConsoleDimensions(min(max(size.width, NARROWEST), WIDEST), size.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    @property
    def file(self) -> IO[str]:
        """Stream, guarded against its failure."""
        return Guarded(super().file, self.progress)  # type: ignore[return-value]

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render_str(self, text: str, **settings: Any) -> rich.text.Text:
        """Make text of a plain string, with control characters escaped."""
        return super().render_str(visible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render segments; the last step at which unencodable and control characters can be replaced."""
        cast = rich_cast(renderable)
        if isinstance(cast, rich.text.Text):
            cast = for_encoding(cast, self.encoding)
        for segment in super().render(cast, options):
            text, style, control = segment
            yield segment if control else Segment(plain(visible(text), self.encoding), style)


class Guarded:
    """Text stream whose failure becomes an error, or is ignored where it carries progress only.

    The command ends when the reader of both streams goes away.
    """

    def __init__(self, stream: Any, progress: bool) -> None:
        self.stream, self.progress = stream, progress

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write, or raise the error of the stream."""
        with self._guard():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or raise the error of the stream."""
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
            raise unprintable(getattr(error, "strerror", None) or str(error)) from error


def unprintable(reason: str) -> RunFailedError:
    """Make the error for a result that cannot be printed."""
    return RunFailedError(f"the result cannot be printed: {reason}", "What is written under --out is not lost.")


def silence(stream: Any) -> None:
    """Redirect a failed stream to the null device: its buffer would fail again at the exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def unread(stream: Any) -> bool:
    """Test for a pipe whose reader is gone, so that nobody will see the result."""
    try:
        watched = select.poll()
        watched.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in watched.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, no descriptor, or closed
        return False


def is_terminal(stream: Any) -> bool:
    """Test for an open stream that is a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it was closed meanwhile
        return False


class Output:
    """Output of a command; each call states the content of every mode."""

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode
        self.stdout = Terminal()
        self.stderr = Terminal(progress=True)

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

    def text(self, content: str, document: dict[str, Any]) -> None:
        """Print a text for a file, such as TOML, line by line as it is; one document with `--json`."""
        if self.mode == "json":
            self.document(document)
        else:
            self._write(visible(content))

    def document(self, content: dict[str, Any]) -> None:
        """Print the JSON document of a command; NaN and infinity become null, as JSON has neither."""
        document = {"schema_version": SCHEMA_VERSION} | content
        text = json.dumps(_without_nan(document), indent=2, default=str, allow_nan=False)
        self._write(text.replace("\x7f", r"\u007f") + "\n")  # the one control character that json leaves as it is

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show on a terminal that something is under way which has no progress of its own."""
        if self.mode == "quiet" or not self.stderr.is_terminal:
            yield
            return
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(RuntimeError):  # no thread for it is available
                stack.enter_context(self.stderr.status(Text(text)))
            yield

    def _write(self, text: str) -> None:
        if sys.stdout is None:
            raise unprintable("stdout is closed")
        self.stdout.file.write(text)
        self.stdout.file.flush()

    def note(self, message: str) -> None:
        """Print a message on stderr that is not part of the result; `-q` omits it."""
        if self.mode != "quiet":
            self.stderr.print(Text(message), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Print a warning on stderr, in every mode."""
        self.stderr.print(Text.assemble(("warning:", "yellow"), f" {message}"), soft_wrap=True)

    def error(self, error: NormbenchError) -> None:
        """Print an error and its hint on stderr; with `--json` as a document on stdout, too."""
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
