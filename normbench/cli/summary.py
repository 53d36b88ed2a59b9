"""`normbench summary`: layers, parameters, MACs, receptive field and budget, without training."""

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options


@flags("norm", "all", "norms", "every", "network", "config", "set", "groups", "max_params", *OUTPUT)
def command(options: Options) -> None:
    """Show the network layer by layer, and its parameters against the budget; of several norms: a row each."""
    from normbench.console import summary as layers
    from normbench.model_summary import model_summary

    output = options.output()
    recipe = options.load_recipe(options.overrides())
    if several := options.norms():
        layers.show_norms(
            output, [model_summary(recipe.run(norm, recipe.seed, max_params=options.max_params)) for norm in several]
        )
    else:
        layers.show_network(
            output,
            model_summary(recipe.run(options["norm"] or recipe.norms[0], recipe.seed, max_params=options.max_params)),
        )
