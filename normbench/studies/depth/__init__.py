"""Depth: what happens to signal, gradient and training as layers are stacked, with and without a norm."""

from normbench.studies.depth.measure import Depth, measure_depth
from normbench.studies.depth.result import depth_finding
from normbench.studies.depth.settings import DepthConfig, data_settings

__all__ = ["Depth", "DepthConfig", "data_settings", "depth_finding", "measure_depth"]
