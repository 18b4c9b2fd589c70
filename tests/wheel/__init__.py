"""The built wheel, as a stranger has it: `make wheel-test`."""
