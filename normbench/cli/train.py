"""`normbench train`: one run."""

from dataclasses import dataclass

import typer

from normbench.cli import flags
from normbench.cli.command import command
from normbench.cli.options import TrainingOptions
from normbench.cli.plan import announce, question_of, show_way_back
from normbench.cli.settled import stop_after_config
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
    options.load_torch()
    from normbench import engine
    from normbench.console import ProgressCallback, tables

    output = options.output()
    recipe = options.load_recipe(options.overrides() | {"norms": (options.norm,)})
    norm = options.norm
    stop_after_config(options, recipe)
    with ProgressCallback(output) as progress:
        progress.stage("checking the plan")
        callback = options.callback(progress)
        recipe, plan = engine.plan_recipe(
            recipe,
            lambda recipe: [recipe.run(norm, recipe.seed, max_params=options.budget)],
            options.planning_machine(),
            options.experiment,
            progress.on_download,
            named=options.name is not None,
        )
        question = question_of(plan, recipe, "compare")  # a comparison of the same settings takes up the run
        plan = engine.claim_experiment(plan, question, named=options.name is not None, dry_run=options.dry_run)
        if not announce(options, plan, progress):
            return
        result = engine.run_all(plan, callback, progress.on_download)[0]
    document = {"command": "train", "run": result.model_dump(mode="json"), "warnings": list(plan.warnings)}
    accuracy = "" if result.test_accuracy is None else f"{result.test_accuracy:.4f}"
    output.result(tables.run_table(result, plan.configs[0].training.epochs), document, quiet=accuracy)
    show_way_back(output, plan)
    if result.status != "done":
        raise typer.Exit(RUN_FAILED)
