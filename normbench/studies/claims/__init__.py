"""Claimed benefits of norms: each is measured with and without one."""
