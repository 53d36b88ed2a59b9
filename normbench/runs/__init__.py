"""Execute one run and keep what it leaves: its folder, its environment, its result; find and reuse it later."""

from normbench.runs.catalog import (
    FINDING,
    Cleaned,
    Entry,
    clean,
    differences,
    find_experiment,
    find_run,
    flat,
    list_experiment,
    list_runs,
    read_environment,
    usable,
)
from normbench.runs.checkpoint import Permission, SavedModel, as_channels, load_model
from normbench.runs.experiment import Question, answers, belongs_to_another, claim, place
from normbench.runs.folder import RunFolder, model_bytes, read_confusion
from normbench.runs.lock import HeldError, holder_of
from normbench.runs.metrics import read_rows
from normbench.runs.preflight import check
from normbench.runs.result import Callback, Confusion, RunResult
from normbench.runs.schema import SCHEMA_VERSION, NewerFormatError, read_model

__all__ = [
    "FINDING",
    "SCHEMA_VERSION",
    "Callback",
    "Cleaned",
    "Confusion",
    "Entry",
    "HeldError",
    "NewerFormatError",
    "Permission",
    "Question",
    "RunFolder",
    "RunResult",
    "SavedModel",
    "answers",
    "as_channels",
    "belongs_to_another",
    "check",
    "claim",
    "clean",
    "differences",
    "find_experiment",
    "find_run",
    "flat",
    "holder_of",
    "list_experiment",
    "list_runs",
    "load_model",
    "model_bytes",
    "place",
    "read_confusion",
    "read_environment",
    "read_model",
    "read_rows",
    "usable",
]
