"""One sink with three modes. stdout carries the result only; stderr progress, warnings, hints and errors."""

import contextlib
import json
import math
from typing import Any, Literal

from rich.console import RenderableType

from normbench.console.terminal import PIPE, Terminal, Text, closed_stdout, lost
from normbench.errors import NormbenchError
from normbench.text import visible

Mode = Literal["human", "json", "quiet"]
SCHEMA_VERSION = 1


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
        if closed_stdout():
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
