"""`normbench summary`: layers, parameters, MACs and budget. It trains nothing."""

from dataclasses import dataclass

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import NetworkOptions, SelectionOptions, check_exclusive
from normbench.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SummaryOptions(SelectionOptions, NetworkOptions):
    """Options of `summary`."""

    norm: flags.Norm = None
    torchinfo: flags.Torchinfo = False


@command
def summary(options: SummaryOptions) -> None:
    """Show the layers of a network, its size and the budget.

    Of several norms: one row per norm. Layers that change neither shape nor receptive field, such as activations, are
    in --json alone.
    """
    from normbench.console.summary import show_network, show_norms
    from normbench.errors import UnfitNormError
    from normbench.model_summary import model_summary, torchinfo_tree

    check_exclusive({"--norm": options.norm, "--all": options.all, "--norms": options.norms, "--every": options.every})
    recipe = options.load_recipe(options.overrides())
    selected = options.selected_norms()
    if selected and options.torchinfo:
        raise UsageError("--torchinfo shows one network", "Give a single norm: --norm NAME")
    norms = selected or (options.norm or recipe.norms[0],)
    summaries = []
    for norm in norms:
        try:
            summaries.append(model_summary(recipe.run(norm, recipe.seed, max_params=options.budget)))
        except UnfitNormError as error:
            if not options.every:
                raise
            options.output().warning(f"left out: {error.message}")
    if selected:
        show_norms(options.output(), summaries)
    else:
        tree = torchinfo_tree(recipe.run(norms[0], recipe.seed)) if options.torchinfo else None
        show_network(options.output(), summaries[0], tree)
