"""The measured memory and CPU of a connection: `make cost-model`."""
