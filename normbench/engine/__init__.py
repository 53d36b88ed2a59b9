"""Execution of the runs of a plan. Plan, concurrency, callbacks, and isolation of the runs that fail."""

from normbench.data import OnDownload
from normbench.engine.callbacks import Callback, CallbackList
from normbench.engine.concurrency import Concurrency
from normbench.engine.cost import Estimate, estimate
from normbench.engine.plan import (
    Plan,
    check_model,
    claim_experiment,
    finished_part,
    in_experiment,
    part_of,
    plan,
    plan_recipe,
    within_budget,
)
from normbench.engine.run import run_all

__all__ = [
    "Callback",
    "CallbackList",
    "Concurrency",
    "Estimate",
    "OnDownload",
    "Plan",
    "check_model",
    "claim_experiment",
    "estimate",
    "finished_part",
    "in_experiment",
    "part_of",
    "plan",
    "plan_recipe",
    "run_all",
    "within_budget",
]
