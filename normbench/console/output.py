"""One sink with three modes. stdout carries the result only; stderr progress, warnings, hints and errors."""

import json
import math
from typing import Any, Literal

from rich.console import Console, RenderableType
from rich.markup import escape

from normbench.errors import NormbenchError

Mode = Literal["human", "json", "quiet"]
SCHEMA_VERSION = 1


class Output:
    """Where commands put what they found; each call says what every mode shows."""

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode
        self.stdout = Console(soft_wrap=False, highlight=False)
        self.stderr = Console(stderr=True, highlight=False)
        if not self.stdout.is_terminal:
            # A pipe has no width; wide enough that no table of ours is cut or folded.
            self.stdout = Console(width=max(self.stdout.width, 140), highlight=False)

    def result(self, human: RenderableType | list[RenderableType], document: dict[str, Any], quiet: str) -> None:
        """Print a command's result: rich for people, one document with `--json`, the bare value with `-q`."""
        if self.mode == "json":
            self.document(document)
        elif self.mode == "quiet":
            self.stdout.file.write(quiet + "\n")  # as it is: rich would make spaces of the tabs
            self.stdout.file.flush()
        else:
            for part in human if isinstance(human, list) else [human]:
                self.stdout.print(part)

    def document(self, content: dict[str, Any]) -> None:
        """Print the one JSON document of a command; NaN and infinity become null, as JSON has neither."""
        document = {"schema_version": SCHEMA_VERSION} | content
        self.stdout.file.write(json.dumps(_without_nan(document), indent=2, default=str, allow_nan=False) + "\n")
        self.stdout.file.flush()

    def note(self, message: str) -> None:
        """Say something on stderr that belongs to no result; `-q` leaves it out."""
        if self.mode != "quiet":
            self.stderr.print(escape(message), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Say on stderr what the user should know, in every mode."""
        self.stderr.print(f"[yellow]warning:[/] {escape(message)}", soft_wrap=True)

    def error(self, error: NormbenchError) -> None:
        """Say on stderr what is wrong and what to try; with `--json` on stdout as a document too."""
        if self.mode == "json":
            described = {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
            self.document({"error": described})
        self.stderr.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            self.stderr.print(f"[dim]hint: {escape(error.hint)}[/]", soft_wrap=True)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
