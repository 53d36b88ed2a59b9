"""`normbench norms`, `recipes` and `env`: the choices there are, and the machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from normbench.cli import flags
from normbench.cli.command import Command, Group, command
from normbench.cli.options import Options
from normbench.errors import RUN_FAILED, UsageError

EXAMPLE_GROUPS = 2
"""Groups of the worked example, which has four features: in four groups, each value would be its own mean."""


@dataclass(frozen=True, kw_only=True)
class NormsOptions(Options):
    """Options of `norms`."""

    norm_name: flags.NormName = None
    picture: flags.Picture = None
    gallery: flags.Gallery = None
    example: flags.Example = False
    groups: flags.Groups = None
    out: flags.Out = None


@command
def norms(options: NormsOptions) -> None:
    """List the norms; with NORM, show one.

    The list has formulas, axes, dependence on the batch, uses and papers. With a NORM, built-in or custom, its page: a
    picture of the axes that it averages over, when not to use it, frequent mistakes with it, and its accuracies in the
    experiments under --out. With --example it is worked out on numbers.
    """
    if options.norm_name is not None:
        if options.gallery is not None:
            raise UsageError("--gallery is of all norms", "Omit the name, or write its own picture: --picture FILE")
        _norm_page(options, options.norm_name)
        return
    from normbench.console import lists

    for flag, value in (
        ("--picture", options.picture),
        ("--example", options.example or None),
        ("--groups", options.groups),
        ("--out", options.out),
    ):
        if value is not None:
            raise UsageError(f"{flag} goes with the name of a norm", "For example: normbench norms gn")
    if options.gallery is not None:
        from normbench.norms import NORMS
        from normbench.report.gallery import gallery

        _write_picture(options, options.gallery, lambda ending: gallery(list(NORMS.values()), ending))
    lists.show_norms(options.output())


def _write_picture(options: NormsOptions, path: Path, draw: Callable[[str], bytes]) -> None:
    """Draw a picture in the format that the name of its file ends in.

    Raises:
        UsageError: It ends in none that can be drawn, or the file cannot be written or replaced.
    """
    from normbench.files import output_file, replace_bytes
    from normbench.report.gallery import FORMATS, picture_format

    ending = picture_format(path)
    replace_bytes(output_file(path, *FORMATS[ending]), draw(ending))
    options.output().note(f"picture in {path}")


def _norm_page(options: NormsOptions, name: str) -> None:
    from normbench.analysis import norm_history
    from normbench.config import Recipe
    from normbench.console.norm_page import NormPage, show_norm
    from normbench.norms import Norm
    from normbench.runs import list_runs

    default = EXAMPLE_GROUPS if options.example else Recipe.model_fields["groups"].default
    groups = default if options.groups is None else options.groups
    norm, out = Norm.parse(name, groups), options.machine().out
    if options.example:
        from normbench.analysis.example import worked_example
        from normbench.console.norm_page import show_example

        count = int(norm.arguments.get("groups") or groups)
        show_example(options.output(), worked_example(norm.name, norm.info, count))
        return
    if options.picture is not None:
        from normbench.report.gallery import norm_picture

        _write_picture(options, options.picture, lambda ending: norm_picture(norm.info, ending))
    show_norm(options.output(), NormPage(norm.name, norm.info, norm_history(list_runs(out), norm.name), str(out)))


@dataclass(frozen=True, kw_only=True)
class RecipeOptions(Options):
    """Options of `recipes show`."""

    recipe: flags.RecipeName


recipes = typer.Typer(cls=Group)


@recipes.callback(invoke_without_command=True)
@command
def list_recipes(options: Options) -> None:
    """List the built-in recipes and what they reach; show one.

    `recipes show NAME` prints the file of one; --print-config of a command prints all settings of its recipe.
    """
    from normbench.console import lists

    lists.show_recipes(options.output())


@recipes.command(cls=Command)
@command
def show(options: RecipeOptions) -> None:
    """Show one recipe: its file, with the measurements behind it; with --json every setting."""
    from normbench.config import load_recipe
    from normbench.config.recipes import recipe_path
    from normbench.console.recipe import show_recipe
    from normbench.norms import canonical_name, existing_name

    path = recipe_path(options.recipe)
    recipe = load_recipe(options.recipe, None, canonical_name, existing_name)
    show_recipe(options.output(), options.recipe, path, recipe)


@dataclass(frozen=True, kw_only=True)
class EnvOptions(Options):
    """Options of `env`."""

    device: flags.Device = None
    out: flags.Out = None


@command
def env(options: EnvOptions) -> None:
    """Show versions and the device, and check the installation.

    Checks that torch and torchvision match, the free disk space and the locks at --out, and one training step on the
    device. Exit code 1 if a check fails.
    """
    from normbench.console.environment import show_environment
    from normbench.engine.installation import check_installation

    machine = options.machine()
    checks = check_installation(machine)
    show_environment(options.output(), machine.device, checks)
    if not all(check.passed for check in checks):
        raise typer.Exit(RUN_FAILED)
