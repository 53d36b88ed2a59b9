"""Verification of norms against float64 definitions. Each is held to the precision that it computes in."""
