"""`normbench runs`: list, show, compare and clean up run folders."""

import typer

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.given import Given

app = typer.Typer()


@app.callback(invoke_without_command=True)
@flags("out", *OUTPUT)
def list_all(given: Given) -> None:
    """List the runs: state, norm, seed, accuracies, time. Sub-commands look closer."""
    from normbench import runs
    from normbench.console import runs as console

    if given.subcommand is None:
        out = given.machine().out
        console.show_runs(given.output(), runs.list_runs(out), str(out))


@app.command()
@flags("run", "out", *OUTPUT)
def show(given: Given) -> None:
    """Show one run: result, settings, environment."""
    from normbench import runs
    from normbench.console import runs as console

    console.show_run(given.output(), runs.find_run(given["run"], given.machine().out))


@app.command()
@flags("run", "other", "out", *OUTPUT)
def diff(given: Given) -> None:
    """Show what differs between two runs in settings and environment."""
    from normbench import runs
    from normbench.console import runs as console

    a, b = (runs.find_run(given[name], given.machine().out) for name in ("run", "other"))
    console.show_differences(given.output(), a, b, runs.differences(a, b))


@app.command()
@flags("out", "yes", *OUTPUT)
def clean(given: Given) -> None:
    """Remove runs that have no result: interrupted, never begun or damaged. Without --yes they are only listed."""
    from normbench import runs
    from normbench.console import runs as console

    entries = runs.unfinished(given.machine().out)
    if given["yes"]:
        entries = [entry for entry in entries if runs.remove(entry)]
    console.show_cleaned(given.output(), entries, removed=bool(given["yes"]))
