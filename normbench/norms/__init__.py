"""The thing under study: every norm behind one registry, each made by `make(channels)`."""

from normbench.norms.axes import Axes
from normbench.norms.code import Code, import_attribute
from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import (
    Norm,
    canonical_name,
    code_from_folder,
    default_arguments,
    is_custom,
    listing_order,
    norm_code,
    norm_from_folder,
    norm_info,
    provide,
    source_digest,
    uncovered_files,
)

__all__ = [
    "NORMS",
    "Axes",
    "Code",
    "Norm",
    "NormInfo",
    "canonical_name",
    "code_from_folder",
    "default_arguments",
    "import_attribute",
    "is_custom",
    "listing_order",
    "norm_code",
    "norm_from_folder",
    "norm_info",
    "provide",
    "source_digest",
    "uncovered_files",
]
