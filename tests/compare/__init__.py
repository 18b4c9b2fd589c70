"""Debian's Tsung and loadgen beside each other: the same files against the same target, outside
the gate."""
