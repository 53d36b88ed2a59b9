"""The thing under study: every norm behind one registry, each made by `make(channels)`."""

from normbench.norms.registry import NORMS, NormInfo
from normbench.norms.resolve import Norm, imported, norm_info, resolve_norm, source_digest

__all__ = ["NORMS", "Norm", "NormInfo", "imported", "norm_info", "resolve_norm", "source_digest"]
