"""Summary of a network: parameters, MACs, output shapes, receptive fields, and the budget."""

from normbench.model_summary.layers import LayerRow
from normbench.model_summary.network import ModelSummary, budget_error, model_summary

__all__ = ["LayerRow", "ModelSummary", "budget_error", "model_summary"]
