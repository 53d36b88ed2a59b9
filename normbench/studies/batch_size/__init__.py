"""Cost of a small batch, norm by norm."""
