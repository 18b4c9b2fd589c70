"""The headline run with both ends on this machine, and its claims: `make million`."""
