"""Cost of small batches, norm by norm."""
