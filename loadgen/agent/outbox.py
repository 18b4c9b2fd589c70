"""The seconds of an agent that the coordinator has not acknowledged yet."""

from loadgen.stats.fanin import Second

BATCH = 60
"""Seconds in one post at most, which bounds its body."""
MAX_SECONDS = 600
"""Seconds that are kept one by one; beyond that the oldest are merged, two into one."""


class Outbox:
    """Keeps seconds until they are acknowledged, in bounded memory."""

    def __init__(self, max_seconds: int = MAX_SECONDS) -> None:
        self._max_seconds = max_seconds
        self._seconds: list[Second] = []
        """Ascending."""
        self._taken = -1
        """The coordinator has the seconds up to this number, but could still lose them."""
        self._posted = 0
        """How many of the oldest seconds were posted and may have arrived."""

    def add(self, second: Second) -> bool:
        """Adds the next second; returns True when older ones had to be merged for it.

        Subtle: a second that was posted may have arrived although its acknowledgement did not.
        The coordinator knows a repeat by its number and drops it, so a posted second must stay as
        it was posted: merged with a neighbour, it would be counted twice or not at all. Only
        seconds that were never posted are merged, each of the older half of them with its
        neighbour, so that the newest stay the finest.
        """
        self._seconds.append(second)
        if len(self._seconds) <= self._max_seconds:
            return False
        end = self._posted + (len(self._seconds) - self._posted) // 2
        older = self._seconds[self._posted : end]
        pairs = zip(older[::2], older[1::2], strict=False)
        single = older[len(older) // 2 * 2 :]
        merged = [later.absorb(earlier) for earlier, later in pairs]
        self._seconds[self._posted : end] = merged + single
        return bool(merged)

    @property
    def after(self) -> int:
        """The newest second that is kept and not posted again; -1: none."""
        return self._seconds[self._held - 1].number if self._held else -1

    @property
    def _held(self) -> int:
        """The number of seconds that were taken, and not acknowledged."""
        return sum(second.number <= self._taken for second in self._seconds)

    def batch(self) -> tuple[Second, ...]:
        """Returns the seconds to post now: the oldest not taken, at most BATCH.

        Until they are taken, the next batch begins with the same seconds.
        """
        held = self._held
        batch = tuple(self._seconds[held : held + BATCH])
        self._posted = max(self._posted, held + len(batch))
        return batch

    def acknowledge(self, number: int, taken: int = -1) -> None:
        """Forgets every second up to this number; those up to `taken` only wait.

        A coordinator that took up the run of another one may have taken less than that.
        """
        self._taken = taken
        known = sum(second.number <= number for second in self._seconds)
        del self._seconds[:known]
        self._posted = max(0, self._posted - known)

    def __len__(self) -> int:
        return len(self._seconds)
