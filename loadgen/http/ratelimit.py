"""So many uses a second of something, for whoever might ask for too many."""

from math import inf


class TokenBucket:
    """A bucket that fills at a rate per second and holds one second's uses; `now` is in seconds,
    on any clock."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = -inf

    def take(self, now: float) -> bool:
        """Whether one more use is within it; if so, it is used."""
        self._left = min(self._rate, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
