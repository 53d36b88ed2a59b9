"""Settled recipe of a command: --print-config."""

import shlex
import sys
from typing import TYPE_CHECKING

import typer

from normbench.cli.options import TrainingOptions

if TYPE_CHECKING:
    from normbench.config import Recipe


def stop_after_config(options: TrainingOptions, recipe: "Recipe") -> None:
    """Print the recipe and exit, if --print-config was typed.

    Raises:
        typer.Exit: It was.
    """
    if not options.print_config:
        return
    from normbench.console.recipe import show_settled

    typed = [word for word in sys.argv[1:] if word != "--print-config"]
    show_settled(options.output(), recipe, shlex.join(["normbench", *typed]))
    raise typer.Exit
