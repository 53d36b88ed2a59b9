"""Recipes as TOML: `recipes show` and --print-config."""

from pathlib import Path

import tomli_w

from normbench import __version__
from normbench.config import Recipe
from normbench.config.recipes import recipe_header
from normbench.console.output import Output
from normbench.text import visible


def show_recipe(output: Output, name: str, path: Path, recipe: Recipe) -> None:
    """Print the file of a recipe; in JSON every setting."""
    document = {
        "command": "recipes show",
        "name": name,
        "path": str(path),
        "header": recipe_header(path),
        "settings": recipe.settled(),
    }
    output.text(path.read_text(encoding="utf-8-sig"), document)


def show_settled(output: Output, recipe: Recipe, command: str) -> None:
    """Print every setting of a recipe as TOML that --config takes.

    Args:
        output: Output of the command.
        recipe: The recipe with the flags applied.
        command: Command line that it was settled by.
    """
    settings = recipe.settled()
    header = f"# Settled by normbench {__version__}: {visible(command, lines=False)}\n\n"
    text = header + tomli_w.dumps(settings)
    output.text(text, {"command": "print-config", "settings": settings, "toml": text})
