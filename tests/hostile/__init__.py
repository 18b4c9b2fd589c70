"""Trials of real fleets by their surroundings: `python -m tests.hostile`."""
