"""Repeat runs: which of them share a device, and how one that fails stops only itself."""

from normbench.data import OnDownload
from normbench.engine.concurrency import Concurrency
from normbench.engine.plan import Plan, in_experiment, plan, within_budget
from normbench.engine.run import run_all

__all__ = ["Concurrency", "OnDownload", "Plan", "in_experiment", "plan", "run_all", "within_budget"]
