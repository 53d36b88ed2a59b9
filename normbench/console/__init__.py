"""Terminal output, and its only writer: results on stdout, everything else on stderr."""

from typing import TYPE_CHECKING, Any

from normbench.console.output import Output

if TYPE_CHECKING:
    from normbench.console.progress import ProgressCallback

__all__ = ["Output", "ProgressCallback"]


def __getattr__(name: str) -> Any:
    """Import the progress callback on first use: it needs torch, which the output of an error does not."""
    if name != "ProgressCallback":
        raise AttributeError(name)
    from normbench.console.progress import ProgressCallback

    return ProgressCallback
