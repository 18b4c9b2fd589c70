"""`python -m loadgen COMMAND`."""

from loadgen.cli.start import loadgen

loadgen()
