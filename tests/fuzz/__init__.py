"""Whatever reads bytes from elsewhere, under bytes that nobody would write: see `targets.py`."""
