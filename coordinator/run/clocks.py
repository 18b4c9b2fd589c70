"""The clock of a run beside the clocks of its agents.

Clocks of machines go apart when one of them is suspended, moved to another host, or set.
"""

from collections.abc import Sequence

from loadgen.stats.delays import APART

ALIKE = 0.5
"""Seconds within which agents agree on a jump."""
MAX_JUMP = 3600.0
"""Seconds by which a clock may jump; agents that say more are not believed."""
MAX_JUMPS = 100
"""The number of jumps that a run follows."""


def jump_of(apart: Sequence[float], agents: int) -> float:
    """Returns by how many seconds the clock of the run jumped, most often 0.

    `apart` has the seconds from the start of the run to the begin of second 0 at those of all
    `agents` that know it. Where most of them agree, it was the clock of the run that jumped;
    otherwise it was their own.
    """
    if not apart:
        return 0.0
    middle = sorted(apart)[len(apart) // 2]
    alike = sum(abs(one - middle) <= ALIKE for one in apart)
    return middle if APART < abs(middle) <= MAX_JUMP and 2 * alike > agents else 0.0
