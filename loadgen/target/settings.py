"""The settings of a target, and its faults for tests and rehearsals."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields

from loadgen.errors import OperatorError
from loadgen.values import Endpoint, seconds_of

DEFAULT_SECONDS = 1.0
"""The time of a fault that takes one, where none is given."""
DEFAULT_NTH = 10
"""The number of a fault that hits every nth delivery, where none is given."""
_TIMED = ("slow-accept", "reset", "close", "delay-deliveries")
_COUNTED = ("lose-deliveries", "double-deliveries", "swap-deliveries")


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
    lose_deliveries: int | None = None
    """Every nth delivery of a publication to a subscriber, on each worker, is not sent."""
    double_deliveries: int | None = None
    """Every nth one is sent twice."""
    swap_deliveries: int | None = None
    """Every nth one is sent after the next one to the same subscriber."""
    delay_deliveries: float | None = None
    """Every one is sent that many seconds later."""

    @property
    def deliveries(self) -> bool:
        """True when publications are delivered wrongly."""
        wrong = (self.lose_deliveries, self.double_deliveries, self.swap_deliveries)
        return any(wrong) or self.delay_deliveries is not None

    @classmethod
    def parse(cls, words: Iterable[str]) -> "Faults":
        """Returns the faults of words `NAME`, `NAME=SECONDS` or `NAME=N`.

        Raises OperatorError for any other word.
        """
        on: dict[str, bool | float | int] = {}
        for word in words:
            name, given, value = word.partition("=")
            if name not in LEGAL:
                raise OperatorError(
                    f"--vice {name!r} is unknown; the legal ones are {', '.join(LEGAL)}"
                )
            on[name.replace("-", "_")] = (
                _value_of(name, value) if given else _DEFAULTS.get(name, True)
            )
        return cls(**on)  # type: ignore[arg-type]  # the loop above has matched value to field


_DEFAULTS: dict[str, float | int] = {
    **dict.fromkeys(_TIMED, DEFAULT_SECONDS),
    **dict.fromkeys(_COUNTED, DEFAULT_NTH),
}


def _value_of(name: str, value: str) -> float | int:
    """Returns the seconds or the number of a fault; raises OperatorError."""
    if name in _COUNTED:
        if not re.fullmatch(r"[1-9]\d{0,8}", value):
            raise OperatorError(f"--vice {name!r}: {value!r} is no whole number from 1 on")
        return int(value)
    if name not in _TIMED:
        raise OperatorError(
            f"--vice {name!r} takes no value; those that take seconds are {', '.join(_TIMED)},"
            f" those that take a number {', '.join(_COUNTED)}"
        )
    try:
        return seconds_of(value)
    except ValueError as error:
        raise OperatorError(f"--vice {name!r}: {error}") from None


LEGAL = tuple(field.name.replace("_", "-") for field in fields(Faults))
"""The names of the faults as `--vice` spells them."""


@dataclass(frozen=True)
class TargetSettings:
    """The settings of one target."""

    listen: Endpoint
    """The address to listen on; with port 0 the kernel chooses a free one."""
    workers: int | None
    """The number of workers; None: as many as the cores and the limit require."""
    limit: int | None
    """The WebSocket connections that may be open at once, over all workers; None:
    REFERENCE_CONNECTIONS, and workers beyond one per core start once connections demand them."""
    mode: str
    """One of TARGET_MODES."""
    faults: Faults
