"""Breaks real fleets on purpose, and tells what became of it: `python -m tests.faults`."""
