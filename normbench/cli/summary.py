"""`normbench summary`: layers, parameters, MACs, receptive field and budget, without training."""

from normbench.cli.flags import OUTPUT, flags
from normbench.cli.options import Options


@flags("norm", "all", "norms", "every", "network", "config", "set", "groups", "max_params", *OUTPUT)
def command(given: Options) -> None:
    """Show the network layer by layer, and its parameters against the budget; of several norms: a row each."""
    from normbench.console import summary as layers
    from normbench.model_summary import anatomy

    output = given.output()
    recipe = given.load_recipe(given.overrides())
    extra = {} if given["max_params"] is None else {"max_params": given["max_params"]}
    if several := given.norms():
        layers.show_norms(output, [anatomy(recipe.run(norm, recipe.seed, **extra)) for norm in several])
    else:
        layers.show_network(output, anatomy(recipe.run(given["norm"] or recipe.norms[0], recipe.seed, **extra)))
