"""Typer commands made from functions of typed options."""

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from normbench.cli.completion import choices, completer
from normbench.cli.flags import Argument, Parameter, parameters
from normbench.cli.options import Options
from normbench.cli.parsing import parser

METAVARS = {int: "N", float: "X", str: "NAME", Path: "PATH"}
"""Name of a value in the help; those of several values are `A,B,C`."""

OptionsT = TypeVar("OptionsT", bound=Options)


class Command(TyperCommand):
    """Command whose --help is shown without the type that Typer gives it."""

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Option --help without a type."""
        return _without_metavar(super().get_help_option(ctx))


class Group(TyperGroup):
    """Group of commands whose switches are shown without the type that Typer gives them."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Parameters, with the switches for shell completion without a type."""
        for parameter in self.params:
            if parameter.name in ("install_completion", "show_completion"):
                _without_metavar(parameter)
        return super().get_params(ctx)

    def get_help_option(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Option --help without a type."""
        return _without_metavar(super().get_help_option(ctx))


def _without_metavar(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option


def command(function: Callable[[OptionsT], None]) -> Callable[..., None]:
    """Make a command of a function of options: their fields are its flags, and its docstring is the help.

    In a group of commands the function is called only where no sub-command is typed.
    """
    options = get_type_hints(function)["options"]
    made = make_command(lambda values: function(options(**values)), parameters(options), inspect.getdoc(function) or "")
    return functools.update_wrapper(made, function, assigned=("__module__", "__name__", "__qualname__"), updated=())


def make_command(
    run: Callable[[dict[str, Any]], None], parameters: dict[str, Parameter], text: str
) -> Callable[..., None]:
    """Make a command whose flags Typer reads from the signature that is made here.

    Args:
        run: Receives the values of the flags and arguments, by name.
        parameters: Flags and arguments, by name; flags are shown panel by panel, in this order.
        text: The help.
    """

    def callback(context: typer.Context, **values: Any) -> None:
        if context.invoked_subcommand is None:
            run(values)

    annotations = {"context": typer.Context}
    arguments = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name in sorted(parameters, key=lambda name: parameters[name].panel):
        annotations[name], default = _typer_parameter(name, parameters[name])
        arguments.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotations[name])
        )
    callback.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    callback.__annotations__ = annotations
    callback.__doc__ = escape(re.sub(r"(?<!\n)\n(?!\n)", " ", text))  # one line per paragraph, for any width
    callback.parameters = parameters  # type: ignore[attr-defined]  # for the tests of all flags
    return callback


def _typer_parameter(name: str, parameter: Parameter) -> tuple[Any, Any]:
    """Annotation and default of a parameter in Typer's terms."""
    kind, shown = parameter.kind, parameter.presentation
    if isinstance(shown, Argument):
        argument = typer.Argument(
            metavar=shown.metavar,
            help=escape(shown.text),
            parser=parser(str, shown.metavar),
            autocompletion=completer(shown.complete, several=False) if shown.complete else None,
        )
        required = inspect.Parameter.empty if parameter.required else None
        return Annotated[str if parameter.required else str | None, argument], required
    flag = f"--{name.replace('_', '-')}"
    spellings = (flag, shown.letter) if shown.letter else (flag,)
    if kind is bool:
        settings: dict[str, Any] = {"metavar": ""}
    elif kind == list[str]:
        settings = {"metavar": shown.metavar}
    else:
        metavar = shown.metavar or METAVARS.get(kind, "A,B,C")
        settings = {"metavar": metavar, "parser": shown.parse or parser(kind, flag, shown.bounds, shown.example)}
    if names := choices(*shown.choices) if shown.choices else shown.complete:
        settings["autocompletion"] = completer(names, several=get_origin(kind) is tuple)
    option = typer.Option(*spellings, help=escape(shown.help), rich_help_panel=shown.panel, **settings)
    if kind is bool:
        return Annotated[bool, option], False
    return Annotated[kind | None if kind == list[str] else str | None, option], None


def escape(text: str) -> str:
    """Escape brackets in a help text, which Typer reads as markup."""
    return re.sub(r"\[(?=[a-zA-Z/@#])", r"\\[", text)
