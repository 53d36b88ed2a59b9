"""Cost: the time and the memory that a norm takes, alone and as a part of a training step."""

from normbench.studies.cost.measure import Cost, measure_costs
from normbench.studies.cost.tables import cost_configs, cost_finding

__all__ = ["Cost", "cost_configs", "cost_finding", "measure_costs"]
