"""`normbench data`: where CIFAR-10 is, whether it is complete, and fetching it."""

import typer

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options
from normbench.errors import DATA_UNAVAILABLE


@flags("data_dir", "offline", "fetch", *OUTPUT)
def command(options: Options) -> None:
    """Show where CIFAR-10 is looked for and whether every file is right; --fetch downloads it."""
    from normbench import data
    from normbench.console import lists

    output = options.output()
    machine = options.machine()
    if options["fetch"]:
        from normbench.console import ProgressCallback

        with ProgressCallback(output) as progress:
            data.fetch(machine, progress.on_download)
    status = data.locate(machine)
    lists.show_data(output, status)
    if not status.complete:
        raise typer.Exit(DATA_UNAVAILABLE)
