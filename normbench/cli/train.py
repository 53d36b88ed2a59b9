"""`normbench train`: one run."""

import typer

from normbench.cli.announce import announce
from normbench.cli.flags import OUTPUT, SCIENCE, flags
from normbench.cli.options import MACHINE_FLAGS, Options
from normbench.errors import RUN_FAILED, UsageError


@flags("norm", *SCIENCE, *MACHINE_FLAGS, "name", "track", "dry_run", *OUTPUT)
def command(given: Options) -> None:
    """Train the network with one norm, and print its train and test accuracy.

    A run that was interrupted goes on where it was; one that is done is shown again, not trained again.
    """
    if given["norm"] is None:
        raise UsageError(
            "which norm? Give --norm NAME", "For example: normbench train --norm gn; see `normbench norms`."
        )
    from normbench import engine
    from normbench.console import ProgressCallback, tables

    output = given.output()
    recipe = given.load_recipe(given.overrides())
    extra = {} if given["max_params"] is None else {"max_params": given["max_params"]}
    config = recipe.run(given["norm"], recipe.seed, **extra)
    with ProgressCallback(output) as listener:
        told = given.listener(listener)
        plan = engine.plan([config], given.planning_machine(), given.experiment, listener.on_download)
        if not announce(given, plan, listener):
            return
        result = engine.run_all(plan, told, listener.on_download)[0]
    document = {"command": "train", "run": result.model_dump(mode="json"), "warnings": list(plan.warnings)}
    accuracy = "" if result.test_accuracy is None else f"{result.test_accuracy:.4f}"
    output.result(tables.run_table(result, config.training.epochs), document, quiet=accuracy)
    if result.status != "done":
        raise typer.Exit(RUN_FAILED)
