"""Progress of a report, step by step."""

from collections.abc import Callable

Progress = Callable[[str], None]
"""Called at the start of each step with a few words that name it."""


def no_progress(_step: str) -> None:
    """Ignore the progress."""
