"""`normbench runs`: list, show, compare, clean, archive."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from normbench.cli import flags
from normbench.cli.command import Command, Group, command
from normbench.cli.options import Options
from normbench.errors import RUN_FAILED, UsageError

if TYPE_CHECKING:
    from normbench.runs import Experiment

app = typer.Typer(cls=Group)


@dataclass(frozen=True, kw_only=True)
class RunsOptions(Options):
    """Options of `runs`."""

    out: flags.Out = None


@dataclass(frozen=True, kw_only=True)
class ListOptions(RunsOptions):
    """Options of `runs` itself."""

    name: flags.OfExperiment = None

    def experiments(self) -> "list[Experiment]":
        """Return the experiment of --name, or all of them.

        Raises:
            UsageError: There is none of that name.
        """
        from normbench import runs

        out = self.machine().out
        if self.name is None:
            return runs.list_experiments(out)
        return [runs.read_experiment(runs.find_experiment(self.name, out))]


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
class CleanOptions(ListOptions):
    """Options of `runs clean`."""

    yes: flags.Yes = False


@dataclass(frozen=True, kw_only=True)
class ArchiveOptions(RunsOptions):
    """Options of `runs archive`."""

    experiment: flags.Experiment
    no_weights: flags.NoWeights = False
    remove: flags.Remove = False
    restore: flags.Restore = False


@app.callback(invoke_without_command=True)
@command
def list_all(options: ListOptions) -> None:
    """List the runs by experiment; sub-commands show details.

    Of many runs only the experiments are listed; --name lists the runs of one.
    """
    from normbench.console import runs as console

    console.show_runs(options.output(), options.experiments(), options.machine().out, named=options.name is not None)


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

    entries = [entry for experiment in options.experiments() for entry in experiment.entries]
    cleaned = runs.clean(entries, remove=options.yes)
    console.show_cleaned(options.output(), cleaned, removed=options.yes)


@app.command(cls=Command)
@command
def archive(options: ArchiveOptions) -> None:
    """Pack the finished runs of an experiment into one file, EXPERIMENT/runs.zip, which every command reads.

    The file is read back and compared with the folders before it counts. With --remove the folders of archived runs are
    removed then. Unfinished runs keep their folders, and files of other programs stay. Run again, it adds new runs.
    """
    from normbench import runs
    from normbench.console import runs as console
    from normbench.runs.archiving import archive_experiment, restore_experiment

    if options.restore and options.no_weights:
        raise UsageError("--no-weights is for archiving, not for --restore", "Leave one of them out.")
    output = options.output()
    folder = runs.find_experiment(options.experiment, options.machine().out)
    if options.restore:
        outcome = restore_experiment(folder, remove=options.remove, warn=output.warning)
    else:
        outcome = archive_experiment(folder, weights=not options.no_weights, remove=options.remove, warn=output.warning)
    console.show_archived(output, outcome, restored=options.restore)
    if options.restore and outcome.kept:
        raise typer.Exit(RUN_FAILED)
