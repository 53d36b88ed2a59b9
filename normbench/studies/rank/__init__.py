"""Ranking of norms over networks and seeds."""
