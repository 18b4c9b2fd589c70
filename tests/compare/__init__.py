"""Debian's Tsung and loadgen compared: the same files against the same target.

Run by `make compare-tsung`, not by `make test`.
"""
