"""Execute one run and keep what it leaves: its folder, its environment, its result; find and reuse it later."""

from normbench.runs.catalog import (
    FINDING,
    Entry,
    differences,
    find_experiment,
    find_run,
    flat,
    list_experiment,
    list_runs,
    read_environment,
    remove,
    unfinished,
    usable,
)
from normbench.runs.execute import Conditions, execute
from normbench.runs.folder import RunFolder, read_confusion
from normbench.runs.hold import HeldError, holder_of
from normbench.runs.metrics import read_rows
from normbench.runs.preflight import check
from normbench.runs.result import SCHEMA_VERSION, Confusion, Listener, RunResult
from normbench.runs.saved import SavedModel, as_channels, load_model

__all__ = [
    "FINDING",
    "SCHEMA_VERSION",
    "Conditions",
    "Confusion",
    "Entry",
    "HeldError",
    "Listener",
    "RunFolder",
    "RunResult",
    "SavedModel",
    "as_channels",
    "check",
    "differences",
    "execute",
    "find_experiment",
    "find_run",
    "flat",
    "holder_of",
    "list_experiment",
    "list_runs",
    "load_model",
    "read_confusion",
    "read_environment",
    "read_rows",
    "remove",
    "unfinished",
    "usable",
]
