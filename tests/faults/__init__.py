"""Faults injected into real fleets, and their outcomes: `python -m tests.faults`."""
