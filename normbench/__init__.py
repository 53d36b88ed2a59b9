"""normbench: small, honest, fast experiments on normalization layers.

A newcomer's minute: `cli` reads flags into a config; `runs` executes a training; `training` is the loop;
`norms` is the thing under study; `engine` repeats runs; `analysis` compares; `console` shows.
"""

__version__ = "0.1.0"
