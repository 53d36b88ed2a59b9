"""`normbench runs`: list, show, compare and clean up run folders."""

import typer

from normbench.cli.flags import OUTPUT, Command, Group, flags
from normbench.cli.options import Options

app = typer.Typer(cls=Group)


@app.callback(invoke_without_command=True)
@flags("out", *OUTPUT)
def list_all(options: Options) -> None:
    """List the runs: state, norm, seed, accuracies, time. Sub-commands look closer."""
    from normbench import runs
    from normbench.console import runs as console

    if options.subcommand is None:
        out = options.machine().out
        console.show_runs(options.output(), runs.list_runs(out), str(out))


@app.command(cls=Command)
@flags("run", "out", *OUTPUT)
def show(options: Options) -> None:
    """Show one run: result, settings, environment."""
    from normbench import runs
    from normbench.console import runs as console

    console.show_run(options.output(), runs.find_run(options["run"], options.machine().out))


@app.command(cls=Command)
@flags("run", "other", "out", *OUTPUT)
def diff(options: Options) -> None:
    """Show what differs between two runs in settings and environment."""
    from normbench import runs
    from normbench.console import runs as console

    a, b = (runs.find_run(options[name], options.machine().out) for name in ("run", "other"))
    console.show_differences(options.output(), a, b, runs.differences(a, b))


@app.command(cls=Command)
@flags("out", "yes", *OUTPUT)
def clean(options: Options) -> None:
    """Remove runs that have no result: interrupted or never begun. Without --yes they are only listed.

    What is damaged, or made by a newer normbench, stays and is named; so do files that normbench did not write.
    """
    from normbench import runs
    from normbench.console import runs as console

    cleaned = runs.clean(options.machine().out, remove=bool(options["yes"]))
    console.show_cleaned(options.output(), cleaned, removed=bool(options["yes"]))
