"""`normbench data`: location and download of CIFAR-10."""

from dataclasses import dataclass

import typer

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import Options
from normbench.errors import DATA_UNAVAILABLE


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Options of `data`."""

    data_dir: flags.DataDir = None
    offline: flags.Offline = False
    fetch: flags.Fetch = False


@command
def data(options: DataOptions) -> None:
    """Show the folder of CIFAR-10; --fetch downloads it.

    Lists the folders that are searched, and the state of each file.
    """
    from normbench.console import lists
    from normbench.data import fetch, locate

    output = options.output()
    machine = options.machine()
    if options.fetch:
        from normbench.console import ProgressCallback

        with ProgressCallback(output) as progress:
            fetch(machine, progress.on_download)
    status = locate(machine)
    lists.show_data(output, status)
    if not status.complete:
        raise typer.Exit(DATA_UNAVAILABLE)
