"""Rehearses the reference run from bare machines to bare machines: `python -m tests.rehearsal`."""
