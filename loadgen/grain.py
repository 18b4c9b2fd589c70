"""The grain of a worker: the least seconds between two wakes for what is due.

Users that are due within it come in one batch, which needs one wake for all.
"""

FINE = 0.00025
"""The grain of a worker with little to do: seconds between two wakes. A wake costs as much as a
ping, and a few more of them are nothing there."""
EXACT = 0.001
"""The grain of a worker with more to do."""
COARSE = 0.005
"""The grain that saves CPU: a batch needs one wake for all."""
CROWDED = 0.05
"""The grain of many workers that share a core: each wake finds the caches of the others."""
GRAINS = {"1ms": EXACT, "5ms": COARSE, "50ms": CROWDED}
"""The grains that a plan may choose."""
FEW = 500.0
"""Launches and pings a second of a worker up to which its grain is fine, where the plan does not
say. Of sessions in Python and scripts nobody knows how often they wake."""
EXACT_LAUNCHES = 5000.0
"""Launches a second of a worker from which its grain is coarse, where the plan does not say."""
EXACT_PINGS = 2000.0
"""Pings a second of a worker from which its grain is coarse, where the plan does not say."""


def grain_at(launches: float, pings: float, *, loops: bool = True) -> float:
    """Returns the grain of a worker at its most launches and pings a second.

    `loops`: all its sessions are built-in loops.
    """
    if loops and launches <= FEW and pings <= FEW:
        return FINE
    return COARSE if launches >= EXACT_LAUNCHES or pings >= EXACT_PINGS else EXACT
