"""`python -m normbench` is the console script."""

from normbench.cli.main import main

main()
