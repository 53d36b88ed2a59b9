"""One file a question. Each makes run configs, has the engine execute them, and returns what was found."""
