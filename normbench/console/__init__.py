"""The only writer to the terminal: results on stdout, everything else on stderr."""

from typing import TYPE_CHECKING, Any

from normbench.console.output import Output

if TYPE_CHECKING:
    from normbench.console.progress import ProgressCallback

__all__ = ["Output", "ProgressCallback"]


def __getattr__(name: str) -> Any:
    """Import the progress callback where it is asked for: it stands on torch, which an error in words does not need."""
    if name != "ProgressCallback":
        raise AttributeError(name)
    from normbench.console.progress import ProgressCallback

    return ProgressCallback
