"""Fuzz tests of every reader of foreign bytes: see `targets.py`."""
