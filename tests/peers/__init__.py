"""Load generators side by side, against a neutral server: `make peers`."""
