"""The seconds in which a run held its connections, and those alive in them.

Seconds are numbered from the start of the run; a figure is that of the second's end.
"""

import math
from collections.abc import Mapping

NEARLY = 0.99
"""The part of the peak that is open when the plateau begins, and in each second that counts as
one of it; as many are alive where that is verified."""


def plateau_seconds(open_: Mapping[int, int], alive: Mapping[int, int | None], peak: int) -> int:
    """Returns how many seconds held nearly as many connections as the peak.

    With `alive` as many must have been alive, where it is known.
    """
    floor = NEARLY * peak
    held = (second for second, count in open_.items() if peak and count >= floor)
    return sum(1 for second in held if (at := alive.get(second)) is None or at >= floor)


def hold_of(open_: Mapping[int, int], peak: int, drained_at: float) -> range:
    """Returns the seconds from the first that held the peak until the drain.

    `drained_at` is in seconds from the start of the run. Without a drain, infinite, the last second
    that held the peak is the last one: after it the sessions ended by themselves.
    """
    full = [second for second, count in open_.items() if peak and count >= NEARLY * peak]
    if not full:
        return range(0)
    last = max(full) + 1 if drained_at == math.inf else math.floor(drained_at)
    return range(min(full), last)


def lowest_alive(alive: Mapping[int, int | None], hold: range) -> int | None:
    """Returns the fewest connections alive at the end of a second of the hold.

    None where life was not verified.
    """
    known = (alive.get(second) for second in hold)
    return min((count for count in known if count is not None), default=None)
