"""The thing under study: every norm behind one registry, each made by `make(channels)`."""

from normbench.norms.code import Code, import_attribute
from normbench.norms.layers import apply_norm, autocast_enabled
from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import (
    Norm,
    code_from_folder,
    is_custom,
    norm_code,
    norm_from_folder,
    norm_info,
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
    "code_from_folder",
    "import_attribute",
    "is_custom",
    "norm_code",
    "norm_from_folder",
    "norm_info",
    "source_digest",
    "uncovered_files",
]
