"""Norms, their registry and their names."""

from normbench.norms.axes import Axes
from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import (
    Norm,
    canonical_name,
    default_arguments,
    existing_name,
    is_custom,
    listing_order,
    norm_code,
    norm_from_folder,
    norm_info,
    source_digest,
)

__all__ = [
    "NORMS",
    "Axes",
    "Norm",
    "NormInfo",
    "canonical_name",
    "default_arguments",
    "existing_name",
    "is_custom",
    "listing_order",
    "norm_code",
    "norm_from_folder",
    "norm_info",
    "source_digest",
]
