"""Networks with a pluggable norm: the assignment's `c10`, and `dwnet` and `lnet` of its source material."""

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
