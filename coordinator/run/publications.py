"""The publications of a run: which were sent, and how far each of them reached.

Agents are told of every publication, and report its receipts once its grace is over. It settles
when all of them have, and is summed up in a line. Ages are in seconds from the start of the run.
"""

from collections import Counter, deque
from itertools import islice

import msgspec

from coordinator.text import one_line
from loadgen.plan.secrets import shown_text
from loadgen.stats.delivery import MAX_MISSED, Delivered, News, Published

MAX_WAITING = 100_000
"""Publications that wait for their receipts; further ones are not measured, and counted."""
MAX_ANNOUNCED = 1_000
"""Publications in one reply to an agent."""
MAX_LATE = 60.0
"""Seconds after which an agent need not be told of a publication any more."""
REPORT_IN = 4
"""Seconds after the grace in which agents are told of a publication, and report it."""
WORST = 5
"""Publications that a summary shows: those that reached the smallest part, and took longest."""


class Missed(msgspec.Struct):
    """A subscriber that did not receive a publication."""

    agent: str
    user: int
    """The number of its user."""
    publication: str


class PublicationLine(msgspec.Struct):
    """One settled publication, as a line of publications.ndjson has it.

    Times are in milliseconds from its sending; None where none is known.
    """

    publication: str
    at: float
    """Its age when it was sent or, where others sent it, when that was reported."""
    channel: str
    expected: int
    received: int
    lost: int
    reach: float | None
    """Received in percent of expected; None where nobody had to receive it."""
    duplicates: int
    reordered: int
    first: float | None
    p50: float | None
    p99: float | None
    last: float | None
    clock_bound: float
    """Each of the times is wrong by this at most: the clocks of sender and receivers differ."""
    missed: list[Missed]


class PublicationsSummary(msgspec.Struct):
    """All publications of a run."""

    sent: int = 0
    failed: dict[str, int] = {}
    """Those that could not be sent, by reason; they are expected of nobody."""
    unmeasured: int = 0
    """Those that were sent while too many others waited for their receipts."""
    settled: int = 0
    rate: float = 0.0
    """Sent per second, from the first to the last of them."""
    subscribers: int = 0
    """The most subscribers that one of them was expected to reach."""
    ordered: bool = True
    """False when they have no order, so that none is reordered."""
    reach_min: float | None = None
    """The smallest reach of one of them, in percent."""
    reach_mean: float | None = None
    clock_bound_ms: float = 0.0
    """Milliseconds by which a time of delivery is wrong at most; 0: all are on one clock."""
    worst: list[PublicationLine] = []
    unstamped: str = ""
    """The beginning of a message without a stamp, where none of an agent's messages had one."""


class Waiting(msgspec.Struct):
    """A publication that waits for its receipts."""

    published: Published
    at: float
    known: float
    """The age at which it was known as sent, and agents could be told."""
    delivered: Delivered = msgspec.field(default_factory=Delivered)
    missed: list[Missed] = []


class Publications:
    """All publications of one run, and what is known of each."""

    def __init__(self, grace: float, *, ordered: bool = True) -> None:
        """`grace` is in seconds."""
        self._grace = grace
        self.summary = PublicationsSummary(ordered=ordered)
        self.missed: list[Missed] = []
        """Samples of subscribers that missed something, the first MAX_MISSED."""
        self._waiting: dict[str, Waiting] = {}
        self._announced: deque[tuple[float, Published]] = deque()
        """Publications that agents have to be told of, with their ages."""
        self._known: set[str] = set()
        """The keys of those publications."""
        self._forgotten = 0
        """Publications before those."""
        self._failed = Counter[str]()
        self._reaches = 0.0
        """The sum of the reaches of those that were expected of anybody."""
        self._reached = 0
        self._first = self._last = 0.0
        """The ages of the first and the last one sent."""

    def add(self, published: Published, age: float, sent: float | None = None) -> None:
        """Adds a publication that was sent; harmless for one that is known.

        `age` is now, `sent` the age at its sending, where that is known.
        """
        if published.key in self._known:
            return
        at = age if sent is None else sent
        if not self.summary.sent:
            self._first = at
        self._last = max(self._last, at)
        self.summary.sent += 1
        if len(self._waiting) >= MAX_WAITING:
            self.summary.unmeasured += 1
            return
        self._waiting[published.key] = Waiting(published, round(at, 3), age)
        self._known.add(published.key)
        self._announced.append((age, published))
        while self._announced[0][0] < age - MAX_LATE:
            _, forgotten = self._announced.popleft()
            self._known.discard(forgotten.key)
            self._forgotten += 1

    def fail(self, reason: str) -> None:
        """Counts a publication that could not be sent."""
        self._failed[reason] += 1
        self.summary.failed = dict(sorted(self._failed.items()))

    def take(self, agent: str, news: News, age: float) -> bool:
        """Takes an agent's news.

        Returns True when they are the first with a message that has no stamp.
        """
        for published in news.published.values():
            self.add(published, age)
        for key, delivered in news.delivered.items():
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.delivered.merge(delivered)
                waiting.missed += [Missed(agent, user, key) for user in delivered.missed]
        first = bool(news.unstamped) and not self.summary.unstamped
        if first:
            self.summary.unstamped = one_line(shown_text(news.unstamped), 200)
        return first

    def since(self, known: int) -> tuple[int, tuple[Published, ...]]:
        """Returns the publications that an agent is to be told of.

        It knows `known` of them. Before them comes the number of all earlier ones.
        """
        begin = max(known, self._forgotten)
        skipped = begin - self._forgotten
        found = islice(self._announced, skipped, skipped + MAX_ANNOUNCED)
        return begin, tuple(published for _, published in found)

    def settle(self, reported: float) -> list[PublicationLine]:
        """Returns the publications that settle.

        `reported` is the age up to which all agents have reported; infinite once no more reports
        are to come.
        """
        due = [
            key
            for key, waiting in self._waiting.items()
            if reported >= waiting.known + self._grace + REPORT_IN
        ]
        return [self._settle(key, self._waiting.pop(key)) for key in due]

    def _settle(self, key: str, waiting: Waiting) -> PublicationLine:
        of = waiting.delivered
        lost = of.expected - of.received
        reach = 100 * of.received / of.expected if of.expected else None
        times = of.times.percentiles((0, 50, 99, 100)) if of.times.counts else ()
        first, p50, p99, last = (value / 1000 for value in times) if times else (None,) * 4
        line = PublicationLine(
            publication=key,
            at=waiting.at,
            channel=waiting.published.channel,
            expected=of.expected,
            received=of.received,
            lost=lost,
            reach=reach,
            duplicates=of.duplicates,
            reordered=of.reordered,
            first=first,
            p50=p50,
            p99=p99,
            last=last,
            clock_bound=of.bound / 1000,
            missed=waiting.missed,
        )
        self._sum_up(line)
        return line

    def _sum_up(self, line: PublicationLine) -> None:
        summary = self.summary
        summary.settled += 1
        summary.subscribers = max(summary.subscribers, line.expected)
        if line.last is not None:
            summary.clock_bound_ms = max(summary.clock_bound_ms, line.clock_bound)
        self.missed += line.missed[: MAX_MISSED - len(self.missed)]
        if line.reach is None:
            return
        self._reached += 1
        self._reaches += line.reach
        summary.reach_mean = self._reaches / self._reached
        known = line.reach if summary.reach_min is None else summary.reach_min
        summary.reach_min = min(line.reach, known)
        summary.worst = sorted([*summary.worst, line], key=_goodness)[:WORST]
        if self._last > self._first:
            summary.rate = round((summary.sent - 1) / (self._last - self._first), 1)


def _goodness(line: PublicationLine) -> tuple[float, float]:
    return line.reach or 0.0, -(line.last or 0.0)
