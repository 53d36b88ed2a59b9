"""`normbench runs`: list, show, compare, clean."""

from dataclasses import dataclass

import typer

from normbench.cli import flags
from normbench.cli.command import Command, Group, command
from normbench.cli.options import Options

app = typer.Typer(cls=Group)


@dataclass(frozen=True, kw_only=True)
class RunsOptions(Options):
    """Options of `runs`."""

    out: flags.Out = None


@dataclass(frozen=True, kw_only=True)
class ShowOptions(RunsOptions):
    """Options of `runs show`."""

    run: flags.Run


@dataclass(frozen=True, kw_only=True)
class DiffOptions(RunsOptions):
    """Options of `runs diff`."""

    run: flags.Run
    other: flags.Run


@dataclass(frozen=True, kw_only=True)
class CleanOptions(RunsOptions):
    """Options of `runs clean`."""

    yes: flags.Yes = False


@app.callback(invoke_without_command=True)
@command
def list_all(options: RunsOptions) -> None:
    """List the runs, with their accuracies; sub-commands show details."""
    from normbench import runs
    from normbench.console import runs as console

    out = options.machine().out
    console.show_runs(options.output(), runs.list_runs(out), str(out))


@app.command(cls=Command)
@command
def show(options: ShowOptions) -> None:
    """Show one run: result, settings, environment."""
    from normbench import runs
    from normbench.console import runs as console

    console.show_run(options.output(), runs.find_run(options.run, options.machine().out))


@app.command(cls=Command)
@command
def diff(options: DiffOptions) -> None:
    """Show differences of two runs in settings and environment."""
    from normbench import runs
    from normbench.console import runs as console

    out = options.machine().out
    a, b = runs.find_run(options.run, out), runs.find_run(options.other, out)
    console.show_differences(options.output(), a, b, runs.differences(a, b))


@app.command(cls=Command)
@command
def clean(options: CleanOptions) -> None:
    """Remove runs without a result: interrupted or never begun. Without --yes they are only listed.

    Runs that are damaged, or written by a newer normbench, are kept and named; so are files of other programs.
    """
    from normbench import runs
    from normbench.console import runs as console

    cleaned = runs.clean(options.machine().out, remove=options.yes)
    console.show_cleaned(options.output(), cleaned, removed=options.yes)
