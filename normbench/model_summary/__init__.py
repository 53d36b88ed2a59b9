"""What a network is made of: parameters, MACs, output shapes, receptive fields, and the budget."""

from normbench.model_summary.layers import LayerRow, receptive_field
from normbench.model_summary.network import ModelSummary, anatomy, budget_error

__all__ = ["LayerRow", "ModelSummary", "anatomy", "budget_error", "receptive_field"]
