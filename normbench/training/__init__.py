"""The training loop: SGD with a schedule, one epoch at a time, of one run or of a fleet."""

from normbench.training.fleet import Fleet, uncaptured
from normbench.training.graphs import Graphs, graphs_of
from normbench.training.host_access import host_access
from normbench.training.loop import DivergedError, EpochRow, Training

__all__ = ["DivergedError", "EpochRow", "Fleet", "Graphs", "Training", "graphs_of", "host_access", "uncaptured"]
