"""`normbench norms`, `recipes` and `env`: what there is to choose from, and where it would run."""

from typing import TYPE_CHECKING

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.norms import NormInfo

GROUPS = 4
"""Of the pictures of GroupNorm, as of the recipes."""


@flags("norm_name", "svg", "groups", "out", *OUTPUT)
def norms(given: Options) -> None:
    """List the norms: formula, axes, dependence on the batch, when to use them, paper.

    With a NORM, or one of your own, its page: a picture of what it averages over, when not to use it, what goes
    wrong with it in practice, and the accuracies that it has reached in the experiments under --out.
    """
    from normbench.console import lists

    if given["norm_name"] is None:
        _check_alone(given)
        lists.show_norms(given.output())
    else:
        _norm_page(given, given["norm_name"])


def _check_alone(given: Options) -> None:
    for flag in ("svg", "groups", "out"):
        if flag in given.values:
            raise UsageError(f"--{flag} goes with the name of a norm", "For example: normbench norms gn")


def _norm_page(given: Options, name: str) -> None:
    from normbench.analysis import record
    from normbench.console.norm_page import NormPage, show_norm
    from normbench.norms import Norm
    from normbench.runs import list_runs

    info, out = Norm.parse(name).info, given.machine().out
    groups = GROUPS if given["groups"] is None else given["groups"]
    if given["svg"] is not None:
        _write_picture(given, info, groups)
    show_norm(given.output(), NormPage(name, info, groups, record(list_runs(out), name), str(out)))


def _write_picture(given: Options, info: "NormInfo", groups: int) -> None:
    from normbench.files import is_svg, output_file, replace_text
    from normbench.report.axes import axes_file

    picture = axes_file(info, groups)
    if picture is None:
        raise UsageError(f"there is no picture of {info.name}: it averages over nothing, or that is not known")
    replace_text(output_file(given["svg"], "an SVG picture", is_svg), picture)
    given.output().note(f"picture in {given['svg']}")


@flags(*OUTPUT)
def recipes(given: Options) -> None:
    """List the recipes that come along, and what each reaches."""
    from normbench.console import lists

    lists.show_recipes(given.output())


@flags("device", *OUTPUT)
def env(given: Options) -> None:
    """Show versions and the device, and whether torch and torchvision match."""
    from normbench.console import lists

    lists.show_environment(given.output(), given.machine().device)
