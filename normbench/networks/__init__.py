"""Networks with a pluggable norm: `c10` of the assignment, `dwnet` and `lnet` of its source material."""

from normbench.networks.blocks import norm_layers, norm_parameters
from normbench.networks.build import (
    IMAGE_SHAPE,
    NETWORKS,
    build,
    build_for,
    check_network,
    count_parameters,
    default_widths,
    draws_random_numbers,
)
from normbench.networks.custom import CustomNetwork, custom_network, neglected_norm, network_code, network_from_folder

__all__ = [
    "IMAGE_SHAPE",
    "NETWORKS",
    "CustomNetwork",
    "build",
    "build_for",
    "check_network",
    "count_parameters",
    "custom_network",
    "default_widths",
    "draws_random_numbers",
    "neglected_norm",
    "network_code",
    "network_from_folder",
    "norm_layers",
    "norm_parameters",
]
