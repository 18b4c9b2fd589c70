"""Answers that are made once for all who ask."""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from time import monotonic
from typing import Generic, TypeVar

IDLE_FACTOR = 10
"""An answer is kept for at least this many times as long as it took to make: however many ask, and
however large the run is, making it takes a tenth of a core at most."""

Answer = TypeVar("Answer")


class SharedAnswer(Generic[Answer]):
    """An answer that is made anew when somebody asks and the last one is too old.

    It is kept for `seconds`, or for longer where it takes long to make. Whoever asks while it is
    being made gets the same one.
    """

    def __init__(self, make: Callable[[], Awaitable[Answer]], seconds: float = 0.0) -> None:
        self._make = make
        self._seconds = seconds
        self._making: asyncio.Future[Answer] | None = None
        self._old_from = inf
        """When the answer is too old, in seconds on the monotonic clock."""

    async def get(self) -> Answer:
        """Returns the answer; raises what its making raised."""
        if self._making is None or monotonic() >= self._old_from:
            self._old_from = inf
            self._making = asyncio.ensure_future(self._make_timed())
        # One that goes away takes the answer from none of the others.
        return await asyncio.shield(self._making)

    async def _make_timed(self) -> Answer:
        begin = monotonic()
        try:
            return await self._make()
        finally:
            end = monotonic()
            self._old_from = end + max(self._seconds, IDLE_FACTOR * (end - begin))
