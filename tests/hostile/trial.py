"""The table of trials.

A trial treats a fleet badly in an arena and returns the outcome. It raises AssertionError when a
promise is broken.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.hostile.arena import Arena, Survived

Act = Callable[[Arena], Survived]


class Trial(NamedTuple):
    """One way to treat a fleet badly."""

    done: str
    """What is done to it, for people."""
    act: Act
    small: bool
    """True when it is quick enough for the gate."""


TRIALS: dict[str, Trial] = {}
"""By name, in the order of the table."""


def trial(done: str, *, small: bool = False) -> Callable[[Act], Act]:
    """Puts a trial into the table, under the name of its function."""

    def put(act: Act) -> Act:
        TRIALS[act.__name__.replace("_", " ")] = Trial(done, act, small)
        return act

    return put
