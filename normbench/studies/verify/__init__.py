"""Verification: every norm against its float64 definition, to the precision that it computes in."""
