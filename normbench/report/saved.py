"""Access to saved networks, loaded when first used."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from normbench.config import MachineConfig

if TYPE_CHECKING:
    from normbench.report.evaluator import Evaluator


@dataclass
class SavedNetworks:
    """Saved networks of the runs of one experiment."""

    machine: MachineConfig
    trust: bool = False
    """True to run the code of custom norms and networks that run folders keep."""

    @cached_property
    def evaluator(self) -> "Evaluator":
        """Evaluator of the networks; torch takes longer to import than all plots to draw."""
        from normbench.report.evaluator import Evaluator

        return Evaluator(self.machine, trust=self.trust)
