"""Common mistakes with norms. Each is made on purpose beside the right way."""
