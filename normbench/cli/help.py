"""Commands whose --help is shown as the switch that it is; Typer gives it a type."""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose --help is shown as the switch that it is."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """The option, without a type."""
        return _as_switch(super().get_help_option(ctx))


class Group(TyperGroup):
    """A group of commands whose --help is shown as the switch that it is."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """The option, without a type."""
        return _as_switch(super().get_help_option(ctx))


def _as_switch(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option
