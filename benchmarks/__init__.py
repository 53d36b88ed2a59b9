"""How fast normbench trains, against the usual ways to train the same network; `make bench` runs it all."""
