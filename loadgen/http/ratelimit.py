"""A rate limit."""

from math import inf


class TokenBucket:
    """A bucket that gets `rate` tokens per second and holds those of one second."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._at = -inf

    def take(self, now: float) -> bool:
        """Takes a token; returns False when the bucket is empty.

        `now` is in seconds, on any clock.
        """
        self._tokens = min(self._rate, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
