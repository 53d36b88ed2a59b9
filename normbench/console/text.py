"""Rich's Text for text of any origin: never markup, with control characters escaped."""

from typing import Any

import rich.text
from rich.text import Span

from normbench.text import plain, visible


class Text(rich.text.Text):
    """Text with control characters escaped; rich would drop some and print the others."""

    def __init__(self, text: str = "", *arguments: Any, **settings: Any) -> None:
        super().__init__(visible(text), *arguments, **settings)

    def append(self, text: "rich.text.Text | str", style: Any = None) -> "Text":
        """Add text or styled text at the end."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


def for_encoding(text: rich.text.Text, encoding: str, lines: bool = True) -> rich.text.Text:
    """Replace characters that an encoding lacks by plain ones; styles keep their characters.

    Args:
        text: Text, possibly not of the class of this module.
        encoding: Encoding of the stream.
        lines: Keep tabs and line breaks.
    """
    characters = [plain(visible(character, lines), encoding) for character in text.plain]
    content = "".join(characters)
    if content == text.plain:
        return text
    offsets = [0]
    for character in characters:
        offsets.append(offsets[-1] + len(character))
    changed = text.blank_copy(content)
    changed.spans = [
        Span(offsets[min(span.start, len(characters))], offsets[min(span.end, len(characters))], span.style)
        for span in text.spans
    ]
    return changed
