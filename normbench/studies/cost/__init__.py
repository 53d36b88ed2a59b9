"""Cost: the time and the memory that a norm takes, alone and as a part of a training step."""

from normbench.studies.cost.finding import cost_configs, cost_finding
from normbench.studies.cost.measure import Cost, measure_costs

__all__ = ["Cost", "cost_configs", "cost_finding", "measure_costs"]
