"""Training loop of runs and run groups. An optimizer with a schedule, one epoch at a time."""

from typing import TYPE_CHECKING

from normbench.lazy import lazy_names
from normbench.training.epoch import EpochRow

if TYPE_CHECKING:
    from normbench.training.cuda_graph import Graphs, graphs_for
    from normbench.training.group import RunGroup, uncaptured
    from normbench.training.run import DivergedError, Training

__all__ = ["DivergedError", "EpochRow", "Graphs", "RunGroup", "Training", "graphs_for", "uncaptured"]

__getattr__ = lazy_names(
    __name__,
    {
        "cuda_graph": ("Graphs", "graphs_for"),
        "group": ("RunGroup", "uncaptured"),
        "run": ("DivergedError", "Training"),
    },
)
