"""The settings of a target, and its faults for tests and rehearsals."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from loadgen.errors import OperatorError
from loadgen.values import Endpoint, seconds_of

DEFAULT_SECONDS = 1.0
"""The time of a fault that takes one, where none is given."""
_TIMED = ("slow-accept", "reset", "close")


@dataclass(frozen=True)
class Faults:
    """The faults that are switched on; None or False is off, times are in seconds."""

    refuse: bool = False
    """Every upgrade is answered 503."""
    slow_accept: float | None = None
    """The 101 is sent that many seconds later."""
    wrong_key: bool = False
    """The 101 has a wrong accept key; such a connection is never counted as opened."""
    no_pong: bool = False
    """Pings are counted and not answered."""
    split_frames: bool = False
    """Every byte is sent by a separate write."""
    reset: float | None = None
    """The connection is reset that many seconds after the 101."""
    stall: bool = False
    """The request is read and not answered."""
    close: float | None = None
    """The connection is closed with 1001 that many seconds after the 101."""

    @classmethod
    def parse(cls, words: Iterable[str]) -> "Faults":
        """Returns the faults of words `NAME` or, for a fault with a time, `NAME=SECONDS`.

        Raises OperatorError for any other word.
        """
        on: dict[str, bool | float] = {}
        for word in words:
            name, given, value = word.partition("=")
            if name not in LEGAL:
                raise OperatorError(
                    f"--vice {name!r} is unknown; the legal ones are {', '.join(LEGAL)}"
                )
            if given and name not in _TIMED:
                raise OperatorError(
                    f"--vice {name!r} takes no value; those that take seconds are"
                    f" {', '.join(_TIMED)}"
                )
            try:
                seconds = seconds_of(value) if given else DEFAULT_SECONDS
            except ValueError as error:
                raise OperatorError(f"--vice {name!r}: {error}") from None
            on[name.replace("-", "_")] = seconds if name in _TIMED else True
        return cls(**on)  # type: ignore[arg-type]  # the loop above has matched value to field


LEGAL = tuple(field.name.replace("_", "-") for field in fields(Faults))
"""The names of the faults as `--vice` spells them."""


@dataclass(frozen=True)
class TargetSettings:
    """The settings of one target."""

    listen: Endpoint
    """The address to listen on; with port 0 the kernel chooses a free one."""
    workers: int | None
    """The number of workers; None: as many as the cores and the descriptor limit require."""
    limit: int
    """The WebSocket connections that may be open at once, over all workers."""
    mode: str
    """`echo` or `appwrite`."""
    faults: Faults
