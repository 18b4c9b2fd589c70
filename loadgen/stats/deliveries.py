"""The matching of received publications with sent ones, at one worker.

A publication becomes a `Book` when it is announced, or when the first subscriber receives it. Its
book is closed once the grace is over: then it is known who had to receive it. That is every
connection that was open when it was sent, but for those that left within the grace and had not
received it. What a connection receives that opened later counts on neither side.

Times are seconds on this host's monotonic clock.
"""

from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Protocol

from loadgen.stats.book import Book
from loadgen.stats.delivery import (
    MAX_MISSED,
    Delivered,
    News,
    Published,
    PublisherClock,
    Stamp,
    stamp_of,
)
from loadgen.stats.heard import DUPLICATE, REORDERED, Heard
from loadgen.stats.histogram import Histogram
from loadgen.stats.subscribers import Departed, SubscriberGroup
from loadgen.stats.tally import Tally

MICROSECONDS = 1_000_000
"""In a second."""
LATEST = 30.0
"""Seconds after the grace for which an announcement is awaited and late receipts are known."""
MANY = 100
"""Messages without a stamp after which it is said that none has one."""
MAX_SAMPLE = 200
"""Bytes of a message without a stamp that are shown."""
MAX_KNOWN = 256
"""Resources whose channels are known; sessions with more of them pay for each connection anew."""
MAX_STEPS = 64
"""Steps that a publication keeps for connections with the same Heard. Where each connection has
heard something else, they would help none, and keep all that was ever heard in memory."""
MISSED_OF_ONE = 5
"""Samples of subscribers that missed one publication."""
NOT_PUBLISHED = (b'{"type":"connected"', b'{"type":"pong"', b'{"type":"error"')
"""The beginnings of Appwrite's own messages, which nobody published."""


class Numbered(Protocol):
    """The user of a connection."""

    number: int


class Recipient(Protocol):
    """A connection that may receive publications."""

    @property
    def owner(self) -> Numbered:
        """Its user."""

    receipts: Heard
    """The publications that it received."""
    opened_at: float
    """The time at which it opened; infinite before that, and once it has left."""
    group: int
    """The place of its group among `Deliveries.groups`."""


class Deliveries:
    """The publications and the subscribers of one worker."""

    def __init__(
        self,
        find: Callable[[bytes], bytes | None],
        channels_of: Callable[[str], tuple[str, ...]],
        *,
        grace: float,
        window: int = 64,
        publisher: str = "",
        clock: str = "",
        external: bool = False,
        ordered: bool = True,
    ) -> None:
        """`find` returns the stamp in a message.

        `channels_of` returns the channels in a path and query.

        `window` is how many numbers of a stream are told apart, `publisher` the beginning of the
        streams of this worker's sessions. `clock` is the name of this host's clock. With `external`
        publications are reported when they are first received. Without `ordered` no receipt counts
        as reordered.
        """
        self.grace = grace
        self.groups: list[SubscriberGroup] = []
        self._find = find
        self._channels_of = channels_of
        self._window = window
        self.publisher = publisher
        """The beginning of the streams of sessions; empty: they do not publish."""
        self._own_clock = {clock: PublisherClock(0.0)}
        self._clocks = self._own_clock
        """The clocks of publishers by name, beside this host's."""
        self._external = external
        self._ordered = ordered
        self._streams: dict[str, int] = {}
        """The place of the stream of each channel that sessions publish to."""
        self._numbers: list[int] = []
        """The next number of each stream of sessions."""
        self._places: dict[tuple[str, ...], int] = {}
        """The place of the group of the same channels."""
        self._known: dict[str, int] = {}
        """The same by the resource of connections, for the latest of them."""
        self._books: dict[bytes, Book] = {}
        self._payload: bytes | None = None
        """The last message with a stamp."""
        self._book: Book | None = None
        """The book of that message."""
        self._nothing = Heard({})
        self._published: dict[str, Published] = {}
        self._missed = MAX_MISSED
        """The samples that may still be taken."""
        self._duplicates = 0
        self._reordered = 0
        self._late = 0
        self._unstamped = 0
        """Like those before it, since the last report."""
        self._unstamped_in_all = 0
        self._sample = ""
        """The beginning of the first message without a stamp."""
        self._stamped = False
        """True once any message had a stamp, or it was said that none has."""

    # Subscribers.

    def join(self, receiver: Recipient, resource: str, now: float) -> None:
        """Takes a connection that opened for a subscriber.

        `resource` is its path and query.
        """
        place = self._known.get(resource)
        if place is None:
            place = self._place_of(resource)
        self.groups[place].join(now)
        receiver.group = place
        receiver.receipts = self._nothing
        receiver.opened_at = now

    def _place_of(self, resource: str) -> int:
        channels = self._channels_of(resource)
        place = self._places.setdefault(channels, len(self.groups))
        if place == len(self.groups):
            self.groups.append(SubscriberGroup(channels))
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[resource] = place
        return place

    def leave(self, receiver: Recipient, now: float) -> None:
        """Takes note that a connection closes; harmless for one that is no subscriber."""
        if receiver.opened_at < inf:
            departed = Departed(receiver.opened_at, now, receiver.receipts)
            self.groups[receiver.group].leave(departed)
            receiver.opened_at = inf

    # Publications.

    def compare(self, clocks: Mapping[str, PublisherClock]) -> None:
        """Takes the clocks of publishers on other hosts, by name, beside this host's."""
        self._clocks = {**clocks, **self._own_clock}

    def publish(self, channel: str, now: float) -> str:
        """Returns the stamp of a publication that a session sends now."""
        place = self._streams.setdefault(channel, len(self._streams))
        if place == len(self._numbers):
            self._numbers.append(0)
        number = self._numbers[place]
        self._numbers[place] += 1
        stream = f"{self.publisher}.{place}"
        published = Published(stream, number, int(now * MICROSECONDS), channel)
        self._published[published.key] = published
        return published.stamp.text

    def announce(self, published: Published, now: float) -> None:
        """Takes note of a publication that subscribers have to receive."""
        stamp = published.stamp
        text = stamp.text.encode()
        book = self._books.get(text) or self._open(text, stamp, now)
        book.announced = True
        book.channel = published.channel

    def receive(self, receiver: Recipient, payload: bytes, now: float) -> bool:
        """Takes a message; returns False when it has no stamp."""
        # A server mostly sends all subscribers the same bytes.
        book = self._book if payload == self._payload else self._look_up(payload, now)
        if book is None:
            return False
        heard = book.steps.get(receiver.receipts)
        if heard is None:
            heard = self._step(book, receiver.receipts)
            if heard is None:
                return True
        receiver.receipts = heard
        if receiver.opened_at > book.sent:
            return True
        if now > book.until:
            self._late += 1
        else:
            counts = book.counts
            place = receiver.group
            counts[place] = counts.get(place, 0) + 1
        if not book.timed:
            book.untimed += 1
        elif now >= book.sent:
            book.fresh.record(int((now - book.sent) * MICROSECONDS))
        elif now >= book.sent - book.bound:
            book.fresh.record(0)
        else:
            book.negative += 1
        return True

    def _look_up(self, payload: bytes, now: float) -> Book | None:
        text = self._find(payload)
        book = self._books.get(text) if text else None
        if book is None:
            book = self._first(text, payload, now)
        if book is not None:
            self._payload = payload
            self._book = book
        return book

    def _first(self, text: bytes | None, payload: bytes, now: float) -> Book | None:
        """Returns the book of a publication that was not heard of before.

        None for a message without a stamp, which is counted.
        """
        stamp = stamp_of(text) if text else None
        if stamp is None:
            if not payload.startswith(NOT_PUBLISHED):
                self._unstamped += 1
                self._sample = self._sample or payload[:MAX_SAMPLE].decode("utf-8", "replace")
            return None
        self._stamped = True
        assert text
        if self._external:
            published = Published(stamp.stream, stamp.number, stamp.sent)
            self._published[published.key] = published
        return self._open(text, stamp, now)

    def _open(self, text: bytes, stamp: Stamp, now: float) -> Book:
        clock = self._clocks.get(stamp.stream.partition("-")[0])
        if clock is None or stamp.sent is None:
            book = Book(stamp, now, self.grace, None)
        else:
            book = Book(stamp, stamp.sent / MICROSECONDS + clock.offset, self.grace, clock)
        self._books[text] = book
        return book

    def _step(self, book: Book, before: Heard) -> Heard | None:
        """Returns what a connection has heard after a receipt; None for a duplicate."""
        heard, kind = before.after(book.stream, book.number, self._window)
        if kind == DUPLICATE:
            book.duplicates += 1
            self._duplicates += 1
            return None
        if kind == REORDERED:
            book.reordered += self._ordered
            self._reordered += self._ordered
        elif not book.closed and len(book.steps) < MAX_STEPS:
            book.steps[before] = heard
        return heard

    # Reports.

    def report(
        self, tally: Tally, receivers: Iterable[Recipient], now: float, *, final: bool = False
    ) -> News | None:
        """Returns what is new since the last call, and adds its counts to a tally.

        `receivers` are the connections that are open. `final`: no further report follows, so that
        every book is closed.
        """
        news = News(published=self._published)
        self._published = {}
        for text, book in list(self._books.items()):
            self._count(book, tally)
            if not book.closed and (final or (book.announced and now >= book.until)):
                self._close(book, tally, receivers, news)
            if now >= book.until + LATEST:
                tally.delivery_unregistered += 0 if book.closed else sum(book.counts.values())
                del self._books[text]
                self._payload = self._book = None
        for group in self.groups:
            group.forget(now - self.grace - LATEST)
        self._count_events(tally)
        if self._unstamped_in_all >= MANY and not self._stamped:
            news.unstamped = self._sample
            self._stamped = True
        return news if news != News() else None

    def _count_events(self, tally: Tally) -> None:
        tally.delivery_duplicates += self._duplicates
        tally.delivery_reordered += self._reordered
        tally.delivery_late += self._late
        tally.delivery_unstamped += self._unstamped
        self._unstamped_in_all += self._unstamped
        self._duplicates = self._reordered = self._late = self._unstamped = 0

    @staticmethod
    def _count(book: Book, tally: Tally) -> None:
        """Adds what happened to a publication since the last report."""
        if book.fresh.counts:
            tally.delivery.merge(book.fresh)
            book.times.merge(book.fresh)
            book.fresh = Histogram()
        tally.delivery_negative += book.negative
        tally.delivery_untimed += book.untimed
        book.negative = book.untimed = 0

    def _close(self, book: Book, tally: Tally, receivers: Iterable[Recipient], news: News) -> None:
        book.closed = True
        book.steps.clear()
        if not book.announced:
            tally.delivery_unregistered += sum(book.counts.values())
            return
        places = [
            place
            for place, group in enumerate(self.groups)
            if not book.channel or book.channel in group.channels
        ]
        expected = sum(self.groups[place].expected(book) for place in places)
        received = sum(book.counts.get(place, 0) for place in places)
        delivered = Delivered(
            expected=expected,
            received=min(received, expected),  # a repeat from beyond the window looks like a first
            duplicates=book.duplicates,
            reordered=book.reordered,
            times=book.times,
            bound=round(book.bound * MICROSECONDS),
        )
        if delivered.received < delivered.expected:
            delivered.missed = self._sample_missed(book, places, receivers)
        tally.delivery_expected += delivered.expected
        tally.delivery_received += delivered.received
        tally.delivery_lost += delivered.expected - delivered.received
        tally.delivery_unregistered += sum(book.counts.values()) - delivered.received
        news.delivered[f"{book.stream}:{book.number}"] = delivered

    def _sample_missed(
        self, book: Book, places: list[int], receivers: Iterable[Recipient]
    ) -> list[int]:
        missed: list[int] = []
        room = min(self._missed, MISSED_OF_ONE)
        for receiver in receivers if room else ():
            if (
                receiver.opened_at <= book.sent
                and receiver.group in places
                and not receiver.receipts.has(book.stream, book.number)
            ):
                missed.append(receiver.owner.number)
                if len(missed) == room:
                    break
        self._missed -= len(missed)
        return missed
