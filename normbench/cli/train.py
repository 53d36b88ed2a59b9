"""`normbench train`: one run."""

from dataclasses import dataclass

import typer

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import TrainingOptions
from normbench.cli.plan import announce
from normbench.errors import RUN_FAILED, UsageError


@dataclass(frozen=True, kw_only=True)
class TrainOptions(TrainingOptions):
    """Options of `train`."""

    norm: flags.Norm = None
    lr: flags.LearningRate = None
    weight_decay: flags.WeightDecay = None


@command
def train(options: TrainOptions) -> None:
    """Train the network with one norm, and print its accuracies.

    An interrupted run is resumed; a finished one is shown again, not trained again.
    """
    if options.norm is None:
        raise UsageError(
            "which norm? Give --norm NAME", "For example: normbench train --norm gn; see `normbench norms`."
        )
    from normbench import engine
    from normbench.console import ProgressCallback, tables

    output = options.output()
    recipe = options.load_recipe(options.overrides())
    config = recipe.run(options.norm, recipe.seed, max_params=options.budget)
    with ProgressCallback(output) as progress:
        callback = options.callback(progress)
        plan = engine.plan([config], options.planning_machine(), options.experiment, progress.on_download)
        if not announce(options, plan, progress):
            return
        result = engine.run_all(plan, callback, progress.on_download)[0]
    document = {"command": "train", "run": result.model_dump(mode="json"), "warnings": list(plan.warnings)}
    accuracy = "" if result.test_accuracy is None else f"{result.test_accuracy:.4f}"
    output.result(tables.run_table(result, config.training.epochs), document, quiet=accuracy)
    if result.status != "done":
        raise typer.Exit(RUN_FAILED)
