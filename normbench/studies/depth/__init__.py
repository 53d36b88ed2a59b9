"""Signal, gradient and training by depth. They are measured with and without a norm."""
