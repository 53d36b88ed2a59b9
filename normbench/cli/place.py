"""The experiment that a plan belongs to: the one asked for, unless that answers another question."""

from typing import TYPE_CHECKING

from normbench.cli.options import Options
from normbench.errors import UsageError

if TYPE_CHECKING:
    from normbench.config import Recipe
    from normbench.engine import Plan
    from normbench.runs import Question

TRIES = 3
"""Another process may take a name between the look at it and the claim."""


def question_of(plan: "Plan", recipe: "Recipe", command: str, searching: bool = False) -> "Question":
    """What the runs of a plan answer together."""
    from normbench.runs import Question

    return Question.of(recipe.model_copy(update={"data": plan.configs[0].data}), command, searching)


def placed(options: Options, plan: "Plan", question: "Question") -> "Plan":
    """The plan in the experiment of its question, which is claimed unless nothing is to be run.

    Raises:
        UsageError: --name names an experiment of another question.
    """
    from normbench import engine, runs

    name = plan.folders[0].path.parent.name
    fingerprints = {config.fingerprint for config in plan.configs}
    for _ in range(TRIES):
        found, warning = runs.place(plan.machine.out, name, question, options["name"] is not None, fingerprints)
        if options["dry_run"] or runs.claim(plan.machine.out / found, question):
            return engine.in_experiment(plan, found, *([warning] if warning else []))
    raise UsageError(f"other processes take every name for {name} in {plan.machine.out}", "Give one with --name NAME.")
