"""Rich's Text for text from anywhere: never markup, control characters shown."""

from typing import Any

import rich.text
from rich.text import Span

from normbench.text import plain, visible


class Text(rich.text.Text):
    """A text whose control characters are shown escaped; rich would drop some and print the others."""

    def __init__(self, text: str = "", *arguments: Any, **settings: Any) -> None:
        super().__init__(visible(text), *arguments, **settings)

    def append(self, text: "rich.text.Text | str", style: Any = None) -> "Text":
        """Add text or styled text at the end."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self


def for_encoding(text: rich.text.Text, encoding: str, lines: bool = True) -> rich.text.Text:
    """The same text with plain signs for those that an encoding lacks; styles stay where they were.

    Args:
        text: A text, possibly not made by the class of this module.
        encoding: Of the stream that it goes to.
        lines: Leave tabs and line breaks as they are.
    """
    characters = [plain(visible(character, lines), encoding) for character in text.plain]
    content = "".join(characters)
    if content == text.plain:
        return text
    places = [0]
    for character in characters:
        places.append(places[-1] + len(character))
    changed = text.blank_copy(content)
    changed.spans = [
        Span(places[min(span.start, len(characters))], places[min(span.end, len(characters))], span.style)
        for span in text.spans
    ]
    return changed
