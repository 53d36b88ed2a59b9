"""Networks with a pluggable norm: `c10` of the assignment, `dwnet` and `lnet` of its source material."""

from normbench.networks.blocks import norm_parameters
from normbench.networks.build import (
    IMAGE_SHAPE,
    NETWORKS,
    build,
    build_for,
    count_parameters,
    default_widths,
    draws_random_numbers,
)

__all__ = [
    "IMAGE_SHAPE",
    "NETWORKS",
    "build",
    "build_for",
    "count_parameters",
    "default_widths",
    "draws_random_numbers",
    "norm_parameters",
]
