"""The training loop: an optimizer with a schedule, one epoch at a time, of a run group."""

from normbench.training.cuda_graph import Graphs, graphs_for
from normbench.training.group import RunGroup, uncaptured
from normbench.training.host_access import host_access
from normbench.training.run import DivergedError, EpochRow, Training

__all__ = ["DivergedError", "EpochRow", "Graphs", "RunGroup", "Training", "graphs_for", "host_access", "uncaptured"]
