"""Signal, gradient and training by depth, with and without a norm."""
