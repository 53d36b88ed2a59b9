"""Plan of a command that trains: the experiment that it goes to, its warnings, and --dry-run."""

from typing import TYPE_CHECKING

from normbench.cli.options import Options

if TYPE_CHECKING:
    from normbench.config import Recipe
    from normbench.console import ProgressCallback
    from normbench.engine import Plan
    from normbench.runs import Question


def question_of(plan: "Plan", recipe: "Recipe", command: str, searching: bool = False) -> "Question":
    """Question that the runs of a plan answer together."""
    from normbench.runs import Question

    return Question.of(recipe.model_copy(update={"data": plan.configs[0].data}), command, searching)


def claim_experiment(options: Options, plan: "Plan", question: "Question") -> "Plan":
    """Move a plan into the experiment of its question, and claim that for it unless --dry-run was typed.

    Raises:
        UsageError: --name is an experiment of another question.
    """
    from normbench import engine

    return engine.claim_experiment(plan, question, named=options["name"] is not None, dry_run=bool(options["dry_run"]))


def announce(options: Options, plan: "Plan", progress: "ProgressCallback") -> bool:
    """Print a plan's warnings, and with --dry-run the plan; return whether it is to be executed."""
    from normbench.console.tables import show_plan

    output = options.output()
    progress.expect(plan)
    for warning in plan.warnings:
        output.warning(warning)
    if options["dry_run"]:
        show_plan(output, plan)
    return not options["dry_run"]
