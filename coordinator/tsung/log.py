"""tsung.log: all statistics of a run every ten seconds, as Tsung writes them.

docs/tsung-log.md describes it. Counts are exactly the ledger's. Means and deviations come from the
buckets of our histograms, and are at most 1 % off.
"""

from coordinator.run.timeline import Entry
from coordinator.tsung.dump import WRITERS, Dump, Form, StatsSample
from coordinator.tsung.names import counters_of, durations_of
from loadgen.stats.histogram import Histogram
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import Tally

INTERVAL = 10
"""Seconds between two dumps."""


class TsungLog:
    """The dumps of one run, as the bytes to append to the file."""

    def __init__(self, form: Form, began: float, *, scripted: bool = False) -> None:
        """`began` is the start of second 0, in seconds since 1970.

        In a scripted run the scripts count the requests.
        """
        self._write = WRITERS[form](int(began))
        self._began = int(began)
        self._scripted = scripted
        self._before = Tally()
        """Everything before this interval."""
        self._interval = Tally()
        self._counters: dict[str, int] = {}
        """All counters at the last dump."""
        self._connected = 0
        """Connections open at the last dump."""
        self._remarks: list[str] = []
        self._users = 0
        self._max_users = 0
        self._boundary = INTERVAL
        """The next dump is due at the beginning of this second."""
        self._over = 0
        """The number of seconds that are over."""

    def remark(self, text: str) -> None:
        """Adds a line for people to the next dump."""
        self._remarks.append(text)

    def add(self, entry: Entry) -> bytes:
        """Takes a settled second, and returns the dumps that are due before it.

        A correction of an earlier second counts in the interval that is open.
        """
        written = b""
        while entry.row.second >= self._boundary:
            written += self._dump(self._boundary)
            self._boundary += INTERVAL
        self._interval.merge(entry.fresh)
        self._over = max(self._over, entry.row.second + 1)
        self._users += entry.fresh.sessions_running
        self._max_users = max(self._max_users, self._users)
        return written

    def end(self, now: float) -> bytes:
        """Returns the last dump and the end of the file; `now` in seconds since 1970."""
        return self._dump(self._over) + self._write.end(now)

    def _dump(self, second: int) -> bytes:
        """Returns the dump at the beginning of a second, and begins a new interval."""
        samples = self._samples()
        self._before.merge(self._interval)
        self._interval = Tally()
        counters = counters_of(self._before, scripted=self._scripted)
        connected = Ledger.of(None, self._before).open
        dump = Dump(
            at=self._began + second,
            users=self._users,
            max_users=self._max_users,
            connected=(connected - self._connected, connected),
            samples=samples,
            counters={
                name: (count - self._counters.get(name, 0), count)
                for name, count in counters.items()
            },
            remarks=self._remarks,
        )
        self._remarks = []
        self._counters = counters
        self._connected = connected
        return self._write.dump(dump)

    def _samples(self) -> dict[str, StatsSample]:
        """Returns a sample for each kind of duration that has a value so far."""
        interval = durations_of(self._interval, scripted=self._scripted)
        before = durations_of(self._before, scripted=self._scripted)
        found = {}
        for name in before | interval:
            now = interval.get(name, Histogram())
            past = before.get(name, Histogram())
            if now.counts or past.counts:
                found[name] = StatsSample.of(now, past)
        return found
