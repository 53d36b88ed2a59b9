"""`normbench data`: where CIFAR-10 is, whether it is complete, and fetching it."""

import typer

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.given import Given
from normbench.errors import DATA_UNAVAILABLE


@flags("data_dir", "offline", "fetch", *OUTPUT)
def command(given: Given) -> None:
    """Show where CIFAR-10 is looked for and whether every file is right; --fetch downloads it."""
    from normbench import data
    from normbench.console import ConsoleListener, lists

    output = given.output()
    machine = given.machine()
    if given["fetch"]:
        with ConsoleListener(output) as listener:
            data.fetch(machine, listener.on_download)
    status = data.locate(machine)
    lists.show_data(output, status)
    if not status.complete:
        raise typer.Exit(DATA_UNAVAILABLE)
