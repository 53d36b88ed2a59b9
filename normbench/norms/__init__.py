"""The thing under study: every norm behind one registry, each made by `make(channels)`."""

from normbench.norms.precision import apply_norm, autocast_enabled
from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import Norm, imported, norm_info, resolve_norm, source_digest

__all__ = [
    "NORMS",
    "Norm",
    "NormInfo",
    "apply_norm",
    "autocast_enabled",
    "imported",
    "norm_info",
    "resolve_norm",
    "source_digest",
]
