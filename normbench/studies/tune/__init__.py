"""Search of every norm's settings on equal budgets."""
