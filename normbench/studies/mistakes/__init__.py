"""Common mistakes with norms, each made on purpose beside the right way."""
