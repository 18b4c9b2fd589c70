"""The offset of an agent's monotonic clock to the clock of the run.

Each exchange with the coordinator gives four times, as in NTP (RFC 5905 section 8): the agent sends
and gets on its own clock, the coordinator receives and replies on the clock of the run. All times
are in seconds.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from loadgen.stats.delays import APART
from loadgen.stats.delivery import PublisherClock
from loadgen.wire import ClockOffset

MAX_DRIFT = 5e-4
"""Seconds that two clocks may drift apart each second: 500 ppm is the most that NTP slews one."""
SPAN = 10.0
"""Seconds of which the exchange with the least delay is kept."""
KNOWN = 0.5
"""Seconds by which an offset is wrong at most for a jump to be seen in it."""
FOLLOW_AFTER = 5.0
"""Seconds after which an agent follows the clock of the run: until then the coordinator may find
that its own clock has jumped."""
KEPT = 60
"""Spans that are kept: ten minutes."""


class Exchange(NamedTuple):
    """The times of a post and its reply."""

    sent: float
    """On the agent's clock."""
    received: float
    """On the clock of the run."""
    replied: float
    """On the clock of the run."""
    returned: float
    """On the agent's clock."""

    @property
    def offset(self) -> float:
        """The seconds to add to the agent's clock, if both ways took equally long."""
        return ((self.received - self.sent) + (self.replied - self.returned)) / 2

    @property
    def bound(self) -> float:
        """The most seconds by which the offset is wrong: half of what both ways took."""
        return ((self.returned - self.sent) - (self.replied - self.received)) / 2

    def bound_at(self, time: float) -> float:
        """Returns the bound at a time of the agent's clock, drift included."""
        return self.bound + MAX_DRIFT * abs(time - self.returned)


class ClockFilter:
    """The best of the last exchanges: a short delay tells more than a late one.

    A clock that was set, or stood still while its machine was suspended, begins anew.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        """The name of the agent's monotonic clock."""
        self.steps = 0
        """How often an exchange contradicted all before it."""
        self._kept: deque[Exchange] = deque(maxlen=KEPT)
        """The exchange with the least delay of each span, oldest first."""

    def add(self, exchange: Exchange) -> float:
        """Adds an exchange; returns the seconds of the step that it shows, most often 0.

        Times that contradict themselves are left out.
        """
        if exchange.bound < 0 or exchange.received > exchange.replied:
            return 0.0
        step = self._step(exchange)
        if step:
            self.steps += 1
            self._kept.clear()
        span = int(exchange.returned // SPAN)
        if self._kept and int(self._kept[-1].returned // SPAN) == span:
            if exchange.bound < self._kept[-1].bound:
                self._kept[-1] = exchange
        else:
            self._kept.append(exchange)
        return step

    def _step(self, exchange: Exchange) -> float:
        """The seconds by which an exchange contradicts the best one, bounds allowed for."""
        best = self._best(exchange.returned)
        if best is None:
            return 0.0
        missed = exchange.offset - best.offset
        allowed = exchange.bound + best.bound_at(exchange.returned)
        return missed if abs(missed) > allowed else 0.0

    def _best(self, now: float) -> Exchange | None:
        return min(self._kept, key=lambda exchange: exchange.bound_at(now), default=None)

    def offset(self, now: float) -> float | None:
        """Returns the seconds to add to the agent's clock; None unless known well."""
        best = self._best(now)
        return None if best is None or best.bound_at(now) > KNOWN else best.offset

    def to_own(self, time: float, now: float) -> float | None:
        """Returns a time of the run on the agent's clock; None before any exchange.

        `now` is what the agent's clock shows.
        """
        best = self._best(now)
        return None if best is None else time - best.offset

    def reading(self, now: float, wall: float) -> ClockOffset | None:
        """Returns what is known at `now`, when the wall clock shows `wall`."""
        best = self._best(now)
        if best is None:
            return None
        drift, drift_bound = self._drift()
        return ClockOffset(
            name=self.name,
            offset=best.offset,
            bound=best.bound_at(now),
            drift_ppm=drift,
            drift_bound_ppm=drift_bound,
            wall=wall - (now + best.offset),
            steps=self.steps,
        )

    def distinguish(self, clocks: Mapping[str, PublisherClock], now: float, own_name: str) -> None:
        """Takes another name where a clock of this one shows another time.

        Copies of one machine have the same boot id. `clocks` are beside the clock of the run.
        """
        same, own = clocks.get(self.name), self._reading(now)
        if same is not None and own is not None:
            apart = same.beside(own)
            if abs(apart.offset) > apart.bound:
                self.name = own_name

    def publishers(
        self, clocks: Mapping[str, PublisherClock], now: float
    ) -> dict[str, PublisherClock]:
        """Returns clocks that are beside the clock of the run beside the agent's.

        Its own is left out.
        """
        own = self._reading(now)
        if own is None:
            return {}
        return {name: clock.beside(own) for name, clock in clocks.items() if name != self.name}

    def _reading(self, now: float) -> PublisherClock | None:
        best = self._best(now)
        return None if best is None else PublisherClock(best.offset, best.bound_at(now))

    def _drift(self) -> tuple[float | None, float | None]:
        """The parts per million by which the offset grows, and the bound of that."""
        first, last = self._kept[0], self._kept[-1]
        span = last.returned - first.returned
        if span < SPAN:
            return None, None
        drift = (last.offset - first.offset) / span * 1e6
        return round(drift, 3), round((first.bound + last.bound) / span * 1e6, 3)


class SecondZero:
    """The begin of second 0 on the agent's clock, which follows the clock of the run.

    Clocks drift by less than seconds that come late; only a jump is followed.
    """

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self._apart_since: float | None = None
        """The time at which the clocks were first found apart, on the agent's clock."""

    def follow(self, begin: float, now: float) -> float:
        """Returns the seconds by which second 0 moves, most often 0.

        `begin` is where the clock of the run has it now, `now` what the agent's clock shows.
        """
        apart = begin - self.begin
        if abs(apart) <= APART:
            self._apart_since = None
            return 0.0
        if self._apart_since is None:
            self._apart_since = now
        if now - self._apart_since < FOLLOW_AFTER:
            return 0.0
        self._apart_since = None
        self.begin = begin
        return apart
