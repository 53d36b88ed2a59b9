"""Summary of a network: parameters, MACs, output shapes, receptive fields, and the budget."""

from normbench.model_summary.layers import LayerRow
from normbench.model_summary.network import ModelSummary, budget_error, model_summary, torchinfo_tree

__all__ = ["LayerRow", "ModelSummary", "budget_error", "model_summary", "torchinfo_tree"]
