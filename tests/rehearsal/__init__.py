"""A rehearsal of the reference run on bare machines: `python -m tests.rehearsal`."""
