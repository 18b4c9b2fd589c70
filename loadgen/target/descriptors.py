"""File descriptors: how many a process may have, and how many workers it takes to hold the limit's connections."""

import math
import resource

FILL = 0.95
"""The share of its descriptors that a worker is meant to give to connections.

SO_REUSEPORT deals connections out by hash, so that some workers get more than the average.
"""
_LIVING = 64
"""Descriptors that a worker needs for itself and for HTTP, beside one for each other worker."""


def raise_limit() -> int:
    """Raises this process's descriptor limit as far as it goes without rights; says how far (getrlimit(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def workers_for(limit: int, cores: int, descriptors: int) -> int:
    """One worker per core, or more where so many connections need them."""
    return max(cores, 1, math.ceil(limit / (FILL * descriptors)))


def most_connections(workers: int, descriptors: int) -> int:
    """How many connections one of so many workers can hold."""
    return max(0, descriptors - workers - _LIVING)
