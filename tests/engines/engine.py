"""An engine, as `python -m tests.engines` plays it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.rehearsal.__main__ import Shown


class Engine(NamedTuple):
    """One engine that runs a fleet."""

    why_not: Callable[[], str]
    """Returns why this machine can't run it; empty where it can."""
    prepare: Callable[[], None]
    """Gets what needs the network of this machine."""
    play: Callable[[bool], Iterator[Shown]]
    """Yields the results of its steps, of the quick ones if it is given True."""
    small: bool = False
    """True when some steps are quick enough for the gate."""
