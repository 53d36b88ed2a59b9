"""The thing under study: every norm behind one registry, each made by `make(channels)`."""

from normbench.norms.code import Code
from normbench.norms.precision import apply_norm, autocast_enabled
from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import (
    Norm,
    imported,
    is_own,
    kept_code,
    kept_norm,
    norm_code,
    norm_info,
    resolve_norm,
    source_digest,
    uncovered_files,
)

__all__ = [
    "NORMS",
    "Code",
    "Norm",
    "NormInfo",
    "apply_norm",
    "autocast_enabled",
    "imported",
    "is_own",
    "kept_code",
    "kept_norm",
    "norm_code",
    "norm_info",
    "resolve_norm",
    "source_digest",
    "uncovered_files",
]
