"""`normbench norms`, `recipes` and `env`: what there is to choose from, and where it would run."""

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.given import Given


@flags(*OUTPUT)
def norms(given: Given) -> None:
    """List the norms: formula, axes, dependence on the batch, when to use them, paper."""
    from normbench.console import lists

    lists.show_norms(given.output())


@flags(*OUTPUT)
def recipes(given: Given) -> None:
    """List the recipes that come along, and what each reaches."""
    from normbench.console import lists

    lists.show_recipes(given.output())


@flags("device", *OUTPUT)
def env(given: Given) -> None:
    """Show versions and the device, and whether torch and torchvision match."""
    from normbench.console import lists

    lists.show_environment(given.output(), given.machine().device)
