"""The only writer to the terminal: results on stdout, everything else on stderr."""

from normbench.console.output import Output
from normbench.console.progress import ConsoleListener

__all__ = ["ConsoleListener", "Output"]
