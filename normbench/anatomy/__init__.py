"""What a network is made of: parameters, MACs, output shapes, receptive fields, and the budget."""

from normbench.anatomy.layers import LayerRow, receptive_field
from normbench.anatomy.network import Anatomy, anatomy, budget_error

__all__ = ["Anatomy", "LayerRow", "anatomy", "budget_error", "receptive_field"]
