"""What a target is told to be."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from loadgen.errors import OperatorError
from loadgen.values import Endpoint, seconds_of

DEFAULT_SECONDS = 1.0
_TIMED = ("slow-accept", "reset", "close")


@dataclass(frozen=True)
class Faults:
    """Which faults are switched on; None or False is off, times are in seconds."""

    refuse: bool = False
    """Every upgrade is answered 503."""
    slow_accept: float | None = None
    """The 101 is sent that much later."""
    wrong_key: bool = False
    """The 101 bears a wrong accept key; such a connection is never counted as opened."""
    no_pong: bool = False
    """Pings are counted, never answered."""
    split_frames: bool = False
    """Every byte is written by its own write."""
    reset: float | None = None
    """That long after the 101 the connection is reset."""
    stall: bool = False
    """The request is read and never answered."""
    close: float | None = None
    """That long after the 101 the connection is closed with 1001."""

    @classmethod
    def parse(cls, words: Iterable[str]) -> "Faults":
        """The vices from words `NAME` or, where it takes a time, `NAME=SECONDS`."""
        on: dict[str, bool | float] = {}
        for word in words:
            name, given, value = word.partition("=")
            if name not in LEGAL:
                raise OperatorError(f"unknown vice {name!r}; the legal ones are {', '.join(LEGAL)}")
            if given and name not in _TIMED:
                raise OperatorError(
                    f"vice {name!r} takes no value; those that take seconds are {', '.join(_TIMED)}"
                )
            try:
                seconds = seconds_of(value) if given else DEFAULT_SECONDS
            except ValueError as error:
                raise OperatorError(f"vice {name!r}: {error}") from None
            on[name.replace("-", "_")] = seconds if name in _TIMED else True
        return cls(**on)  # type: ignore[arg-type]  # the loop above has matched value to field


LEGAL = tuple(field.name.replace("_", "-") for field in fields(Faults))
"""The vices' names as options spell them."""


@dataclass(frozen=True)
class TargetSettings:
    """One target: where it listens, how many workers it has, and how they behave."""

    listen: Endpoint
    """Port 0 asks the kernel for a free one."""
    workers: int | None
    """None: as many as the cores and the descriptor limit call for."""
    limit: int
    """How many WebSocket connections may be open at once, over all workers."""
    mode: str
    """`echo` or `appwrite`."""
    faults: Faults
