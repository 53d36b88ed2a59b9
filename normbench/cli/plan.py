"""Plan of a command that trains: the experiment that it goes to, its warnings, and --dry-run."""

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from normbench.cli.options import PlanOptions, TrainingOptions
from normbench.errors import SOME_RUNS_FAILED

if TYPE_CHECKING:
    from normbench.config import Recipe
    from normbench.console import Output, ProgressCallback
    from normbench.engine import Plan
    from normbench.runs import Question, RunResult


def question_of(plan: "Plan", recipe: "Recipe", command: str, searching: bool = False) -> "Question":
    """Question that the runs of a plan answer together."""
    from normbench.runs import Question

    return Question.of(recipe.model_copy(update={"data": plan.configs[0].data}), command, searching)


def claim_experiment(options: PlanOptions, plan: "Plan", question: "Question") -> "Plan":
    """Move a plan into the experiment of its question, and claim that unless --dry-run was typed.

    Raises:
        UsageError: --name is an experiment of another question.
    """
    from normbench import engine

    return engine.claim_experiment(plan, question, named=options.name is not None, dry_run=options.dry_run)


def part_of(options: PlanOptions, plan: "Plan") -> "Plan":
    """Return the part of a plan that --shard names, or all of it.

    Raises:
        UsageError: The part has no run.
    """
    from normbench import engine

    return engine.part_of(plan, *options.shard) if options.shard else plan


def announce(options: TrainingOptions, plan: "Plan", progress: "ProgressCallback") -> bool:
    """Print a plan's warnings, and with --dry-run the plan; return True if it is to be executed."""
    from normbench import engine
    from normbench.console.plan import cost_lines, show_plan

    output = options.output()
    for warning in plan.warnings:
        output.warning(warning)
    if plan.obstacle and not any(plan.obstacle in warning for warning in plan.warnings):
        output.note(plan.obstacle)
    progress.stage("timing a few steps")
    estimate = None if output.mode == "quiet" else engine.estimate(plan)
    if estimate is not None and estimate.seconds is not None:
        progress.expect(plan, estimate.seconds, cost_lines(plan, estimate))
    else:
        progress.expect(plan)
    if options.dry_run:
        progress.close()
        show_plan(output, plan, estimate)
        return False
    progress.stage("reading the images")
    return True


def show_way_back(output: "Output", plan: "Plan") -> None:
    """Print the command that goes on with CIFAR-10, where the digits have taken its place."""
    if plan.obstacle:
        typed = shlex.join(word for word in sys.argv[1:] if word != "--offline")
        output.note(f"for CIFAR-10: normbench data --fetch && normbench {typed}")


def stop_after_part(options: PlanOptions, command: str, results: "Sequence[RunResult]") -> None:
    """Print the runs of a --shard and exit; do nothing if the whole plan was run.

    Raises:
        typer.Exit: Only a part was run.
    """
    from normbench.console.tables import part_table

    if options.shard is None:
        return
    part, parts = options.shard
    document = {
        "command": command,
        "shard": f"{part}/{parts}",
        "runs": [run.model_dump(mode="json") for run in results],
    }
    folders = "\n".join(run.folder or "" for run in results)
    options.output().result(part_table(results, part, parts), document, quiet=folders)
    raise typer.Exit(SOME_RUNS_FAILED if any(run.status == "failed" for run in results) else 0)
