"""`normbench norms`, `recipes` and `env`: what there is to choose from, and where it would run."""

from typing import TYPE_CHECKING

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.norms import NormInfo


@flags("norm_name", "svg", "groups", "out", *OUTPUT)
def norms(options: Options) -> None:
    """List the norms: formula, axes, dependence on the batch, when to use them, paper.

    With a NORM, or one of your own, its page: a picture of what it averages over, when not to use it, what goes
    wrong with it in practice, and the accuracies that it has reached in the experiments under --out.
    """
    from normbench.console import lists

    if options["norm_name"] is None:
        _check_alone(options)
        lists.show_norms(options.output())
    else:
        _norm_page(options, options["norm_name"])


def _check_alone(options: Options) -> None:
    for flag in options.typed("svg", "groups", "out"):
        raise UsageError(f"--{flag} goes with the name of a norm", "For example: normbench norms gn")


def _norm_page(options: Options, name: str) -> None:
    from normbench.analysis import norm_history
    from normbench.config import RunConfig
    from normbench.console.norm_page import NormPage, show_norm
    from normbench.norms import Norm
    from normbench.runs import list_runs

    default = RunConfig.model_fields["groups"].default
    norm = Norm.parse(name, default if options["groups"] is None else options["groups"])
    info, out = norm.info, options.machine().out
    if options["svg"] is not None:
        _write_picture(options, info)
    show_norm(options.output(), NormPage(norm.name, info, norm_history(list_runs(out), norm.name), str(out)))


def _write_picture(options: Options, info: "NormInfo") -> None:
    from normbench.files import is_svg, output_file, replace_text
    from normbench.report.axes import axes_file

    picture = axes_file(info)
    if picture is None:
        raise UsageError(f"there is no picture of {info.name}: it averages over nothing, or that is not known")
    replace_text(output_file(options["svg"], "an SVG picture", is_svg), picture)
    options.output().note(f"picture in {options['svg']}")


@flags(*OUTPUT)
def recipes(options: Options) -> None:
    """List the recipes that come along, and what each reaches."""
    from normbench.console import lists

    lists.show_recipes(options.output())


@flags("device", *OUTPUT)
def env(options: Options) -> None:
    """Show versions and the device, and whether torch and torchvision match."""
    from normbench.console.environment import show_environment

    show_environment(options.output(), options.machine().device)
