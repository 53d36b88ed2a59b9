"""The experiment that a plan belongs to: the one that was asked for, unless that answers another question."""

from normbench import runs
from normbench.engine.plan import Plan, in_experiment
from normbench.errors import UsageError
from normbench.runs import Question

TRIES = 3
"""Another process may take a name between the look at it and the claim."""


def claim_experiment(plan: Plan, question: Question, *, named: bool, dry_run: bool = False) -> Plan:
    """Move a plan into the experiment of its question, and claim that experiment unless nothing is to be run.

    Args:
        plan: Its runs lie in the experiment that was asked for, or in the recipe's.
        question: Of its runs.
        named: Whether the user chose the name.
        dry_run: Whether nothing is to be written.

    Raises:
        UsageError: The name that the user chose is that of another question.
    """
    name = plan.folders[0].path.parent.name
    fingerprints = {config.fingerprint for config in plan.configs}
    for _ in range(TRIES):
        settled, warning = runs.place(plan.machine.out, name, question, named, fingerprints)
        if dry_run or runs.claim(plan.machine.out / settled, question):
            return in_experiment(plan, settled, *([warning] if warning else []))
    raise UsageError(f"other processes take every name for {name} in {plan.machine.out}", "Give one with --name NAME.")
