"""The seconds of an agent that the coordinator has not acknowledged yet."""

from loadgen.stats.fanin import Second

BATCH = 60
"""Seconds in one post at most: what bounds its body."""
MAX_SECONDS = 600
"""Seconds that are kept one by one; of what is beyond that the oldest are merged, two into one."""


class Outbox:
    """Keeps seconds until they are acknowledged, in bounded memory however long that takes.

    A second that was posted may have arrived although no answer did. It is kept as it was posted,
    so that a repeat of it is known as one; only what was never posted is ever merged.
    """

    def __init__(self, most: int = MAX_SECONDS) -> None:
        self._most = most
        self._seconds: list[Second] = []
        """Ascending."""
        self._posted = 0
        """How many of them may have arrived."""

    def add(self, second: Second) -> bool:
        """Takes the next second; whether older ones had to be merged for it."""
        self._seconds.append(second)
        if len(self._seconds) <= self._most:
            return False
        kept = self._posted + (len(self._seconds) - self._posted) // 2
        first = self._seconds[self._posted : kept]
        pairs = zip(first[::2], first[1::2], strict=False)
        merged = [later.absorb(earlier) for earlier, later in pairs] + first[len(first) // 2 * 2 :]
        self._seconds[self._posted : kept] = merged
        return True

    def batch(self) -> tuple[Second, ...]:
        """What is to be posted now: the oldest ones; the same again, and more of them, until
        they are acknowledged."""
        batch = tuple(self._seconds[:BATCH])
        self._posted = max(self._posted, len(batch))
        return batch

    def acknowledge(self, number: int) -> None:
        """Forgets every second up to this one."""
        known = sum(second.number <= number for second in self._seconds)
        del self._seconds[:known]
        self._posted = max(0, self._posted - known)

    def __len__(self) -> int:
        return len(self._seconds)
