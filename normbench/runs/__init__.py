"""Run folders, results, locks and finished runs. They are found, evaluated and exported here."""

from typing import TYPE_CHECKING

from normbench.lazy import lazy_names
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
from normbench.runs.experiment import (
    Experiment,
    Question,
    answers,
    claim,
    claim_name,
    list_experiments,
    place,
    read_experiment,
)
from normbench.runs.folder import RunFolder, model_bytes, read_confusion, read_rows
from normbench.runs.lock import HeldError, holder_of
from normbench.runs.result import Confusion, RunResult
from normbench.runs.schema import SCHEMA_VERSION, NewerFormatError, read_model

if TYPE_CHECKING:
    from normbench.runs.checkpoint import Permission, SavedModel, UntrustedCodeError, as_channels, load_model

__all__ = [
    "FINDING",
    "SCHEMA_VERSION",
    "Cleaned",
    "Confusion",
    "Entry",
    "Experiment",
    "HeldError",
    "NewerFormatError",
    "Permission",
    "Question",
    "RunFolder",
    "RunResult",
    "SavedModel",
    "UntrustedCodeError",
    "answers",
    "as_channels",
    "claim",
    "claim_name",
    "clean",
    "differences",
    "find_experiment",
    "find_run",
    "flat",
    "holder_of",
    "list_experiment",
    "list_experiments",
    "list_runs",
    "load_model",
    "model_bytes",
    "place",
    "read_confusion",
    "read_environment",
    "read_experiment",
    "read_model",
    "read_rows",
    "usable",
]

__getattr__ = lazy_names(
    __name__, {"checkpoint": ("Permission", "SavedModel", "UntrustedCodeError", "as_channels", "load_model")}
)
