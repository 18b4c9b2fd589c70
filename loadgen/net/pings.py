"""The pings of one WebSocket connection, and which answer is whose.

Every ping ends as one of four counters, and once in `ping_rtt`:

    pings = pongs + pongs_skipped + pongs_missing + pings_cut

A pong repeats the number of its ping, and from the number follows when that ping was due. A server
may answer only the newest of several pings (RFC 6455 section 5.5.3), so a pong answers the older
ones too. Whether their own pongs still come is known later: until then they are `overtaken`.
"""

from math import inf
from time import monotonic
from typing import Protocol

from loadgen.net.states import CUT, OPEN, UPGRADING
from loadgen.plan.life import PONG_TIMEOUT
from loadgen.stats.reasons import PING_TIMEOUT
from loadgen.stats.recorder import MICROSECONDS, Recorder

MAX_OVERTAKEN = 64
"""Overtaken pings of one connection that may still get their own pong; the oldest are settled."""
NOT_HEARD = [0]
"""Takes the place of a second for connections whose 101 has not come; its count means nothing."""


class Rhythm(Protocol):
    """The part of a connection's terms that its pings follow."""

    think: float
    """Seconds between two pings: ping n is due n times this after the first."""


class Pinging:
    """The part of a connection that pings. Times are seconds on the monotonic clock."""

    __slots__ = (
        "first_ping_due",
        "heard",
        "overtaken",
        "pinged",
        "ponged",
        "recorder",
        "state",
        "terms",
    )

    def __init__(self, recorder: Recorder, terms: Rhythm) -> None:
        self.recorder = recorder
        self.terms = terms
        self.state = UPGRADING
        self.first_ping_due = 0.0
        self.heard = NOT_HEARD
        """How many connections were last heard in the same second as this one; see Recorder."""
        self.pinged = 0
        """The number of pings sent."""
        self.ponged = 0
        """The number of the newest ping that has an answer, from 1."""
        self.overtaken: dict[int, float] | None = None
        """The pings that a newer one's pong answered, by number, with the time of that pong."""

    def abort(self, reason: str | None = None) -> None:
        """Ends the transport at once; a reason that is known already stays."""
        raise NotImplementedError

    @property
    def owed(self) -> bool:
        """True while the newest ping has no answer."""
        return self.pinged > self.ponged

    def _count_ping(self, due: float) -> bool:
        """Counts a ping; False when none may be sent.

        A ping that is PONG_TIMEOUT old without an answer proves the connection dead.
        """
        if self.state != OPEN:
            return False
        if not self.pinged:
            self.first_ping_due = due
        elif (
            self.pinged > self.ponged
            and due - self.first_ping_due - self.ponged * self.terms.think >= PONG_TIMEOUT
        ):
            self.abort(PING_TIMEOUT)
            return False
        if self.overtaken is not None:
            self._skip_overtaken(due - PONG_TIMEOUT)
        self.pinged += 1
        self.recorder.tally.pings += 1
        return True

    def _hear(self) -> None:
        """Counts a sign of life: the 101 or a pong has come in the current second."""
        self.heard[0] -= 1
        self.heard = self.recorder.heard
        self.heard[0] += 1

    def _due(self, number: int) -> float:
        """Returns when a ping was due."""
        return self.first_ping_due + (number - 1) * self.terms.think

    def _pong(self, number: int) -> None:
        """Counts the answer to a ping, timed from when that ping was due."""
        now = monotonic()
        ponged = self.ponged
        if ponged < number <= self.pinged:
            if number > ponged + 1:
                self._overtake(number, now)
            self.ponged = number
        elif self.overtaken is None or self.overtaken.pop(number, None) is None:
            return  # it answers no ping, or one that had its pong
        recorder = self.recorder
        tally = recorder.tally
        tally.pongs += 1
        due = self.first_ping_due + (number - 1) * self.terms.think
        tally.ping_rtt.record(int((now - due) * MICROSECONDS))
        last, heard = self.heard, recorder.heard  # from here as `_hear` does it, without the call
        if last is not heard:
            last[0] -= 1
            heard[0] += 1
            self.heard = heard

    def _record(self, number: int, now: float) -> None:
        """Records the time from when a ping was due until `now`, its answer or end."""
        self.recorder.tally.ping_rtt.record(int((now - self._due(number)) * MICROSECONDS))

    def _overtake(self, number: int, now: float) -> None:
        """Keeps the unanswered pings that are older than this one.

        `now` is when its pong came.
        """
        if self.overtaken is None:
            self.overtaken = {}
        self.overtaken.update(dict.fromkeys(range(self.ponged + 1, number), now))
        while len(self.overtaken) > MAX_OVERTAKEN:
            self._skip(next(iter(self.overtaken)))

    def _skip_overtaken(self, before: float) -> None:
        """Settles the overtaken pings that were due at a time or before it."""
        assert self.overtaken is not None
        for number in list(self.overtaken):
            if self._due(number) <= before:
                self._skip(number)
        if not self.overtaken:
            self.overtaken = None

    def _skip(self, number: int) -> None:
        """Counts an overtaken ping as answered by the newer pong, when that came."""
        assert self.overtaken is not None
        self.recorder.tally.pongs_skipped += 1
        self._record(number, self.overtaken.pop(number))

    def _settle_pings(self) -> None:
        """Settles every ping that has no pong of its own: no more can come."""
        if self.overtaken is not None:
            self._skip_overtaken(inf)
        now = monotonic()
        for number in range(self.ponged + 1, self.pinged + 1):
            self._miss(number, now)

    def _miss(self, number: int, now: float) -> None:
        """Counts a ping that nothing answers, and records its age."""
        if self.state == CUT:
            self.recorder.tally.pings_cut += 1
        else:
            self.recorder.tally.pongs_missing += 1
        self._record(number, now)
