"""Recommendation of a norm, by rules with evidence."""

from normbench.advice.choice import Advice, Cited, advise
from normbench.advice.rules import RULES, Evidence, Rule
from normbench.advice.situation import DATA, NEEDS, TASKS, Situation, code

__all__ = ["DATA", "NEEDS", "RULES", "TASKS", "Advice", "Cited", "Evidence", "Rule", "Situation", "advise", "code"]
