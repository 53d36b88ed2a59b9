"""The training loop: SGD with a schedule, one epoch at a time, of one run or of a fleet."""

from normbench.training.fleet import Fleet
from normbench.training.graphs import Graphs, graphs_of
from normbench.training.loop import DivergedError, EpochRow, Training

__all__ = ["DivergedError", "EpochRow", "Fleet", "Graphs", "Training", "graphs_of"]
