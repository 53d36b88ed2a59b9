"""Which norm for a task: rules with their evidence, and what was measured here for each."""

from normbench.studies.advice.choice import Advice, Cited, advise
from normbench.studies.advice.rules import RULES, Evidence, Rule
from normbench.studies.advice.situation import DATA, NEEDS, TASKS, Situation, code

__all__ = ["DATA", "NEEDS", "RULES", "TASKS", "Advice", "Cited", "Evidence", "Rule", "Situation", "advise", "code"]
