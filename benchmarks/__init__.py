"""Training speed of normbench against the usual ways to train the same network; run by `make bench`."""
