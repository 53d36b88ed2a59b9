"""Time and memory of norms. They are measured alone and as part of a training step."""
