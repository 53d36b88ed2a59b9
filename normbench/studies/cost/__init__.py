"""Time and memory of a norm, alone and as part of a training step."""
