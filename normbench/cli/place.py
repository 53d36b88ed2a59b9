"""The experiment that a plan belongs to: the one asked for, unless that answers another question."""

from typing import TYPE_CHECKING

from normbench.cli.options import Options

if TYPE_CHECKING:
    from normbench.config import Recipe
    from normbench.engine import Plan
    from normbench.runs import Question


def question_of(plan: "Plan", recipe: "Recipe", command: str, searching: bool = False) -> "Question":
    """What the runs of a plan answer together."""
    from normbench.runs import Question

    return Question.of(recipe.model_copy(update={"data": plan.configs[0].data}), command, searching)


def placed(options: Options, plan: "Plan", question: "Question") -> "Plan":
    """The plan in the experiment of its question, which is claimed unless nothing is to be run.

    Raises:
        UsageError: --name names an experiment of another question.
    """
    from normbench import engine

    return engine.claim_experiment(plan, question, named=options["name"] is not None, dry_run=bool(options["dry_run"]))
