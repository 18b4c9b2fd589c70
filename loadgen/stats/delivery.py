"""The stamp that a publication carries, and what is known of its delivery.

A stamp is `lg1:STREAM:NUMBER:SENT;`, where no character has to be escaped in JSON. A stream is one
publisher's publications to one channel, numbered from 0. Its name begins with the clock that SENT
is on, up to the first `-`. SENT is in microseconds, and empty where that clock is unknown.
"""

import re
from typing import Annotated, NamedTuple

import msgspec

from loadgen.stats.histogram import Histogram
from loadgen.stats.tally import Count

MARK = b"lg1:"
"""The first bytes of a stamp."""
END = b";"
MAX_STAMP = 128
"""Bytes of the longest stamp."""
MAX_MISSED = 100
"""Samples of subscribers that missed publications: of one worker, and of the run."""
_STAMP = re.compile(rb"lg1:([A-Za-z0-9._-]{1,80}):(0|[1-9]\d{0,14}):(|0|[1-9]\d{0,16});")
"""Numbers without leading zeros: one stamp has one text."""


class Stamp(NamedTuple):
    """The identity of a publication, and when it was sent."""

    stream: str
    number: int
    sent: int | None
    """Microseconds on the monotonic clock of the publisher's host; None: unknown."""

    @property
    def text(self) -> str:
        """The stamp as a payload has it."""
        return f"lg1:{self.stream}:{self.number}:{'' if self.sent is None else self.sent};"


def stamp_of(text: bytes) -> Stamp | None:
    """Returns the stamp of a text; None when the text is none."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    stream, number, sent = found.groups()
    return Stamp(stream.decode(), int(number), int(sent) if sent else None)


class Published(msgspec.Struct, frozen=True, omit_defaults=True):
    """A publication that was sent."""

    stream: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,80}$")]
    number: Count
    sent: Count | None = None
    channel: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    """The channel whose subscribers have to receive it; empty: all subscribers."""

    @property
    def stamp(self) -> Stamp:
        """The stamp that it carries."""
        return Stamp(self.stream, self.number, self.sent)

    @property
    def key(self) -> str:
        """The name of the publication in the run."""
        return f"{self.stream}:{self.number}"


class PublisherClock(msgspec.Struct, frozen=True):
    """The monotonic clock of a publisher's host, beside another clock."""

    offset: float
    """Seconds to add to it."""
    bound: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds by which the offset is wrong at most."""

    def beside(self, other: "PublisherClock") -> "PublisherClock":
        """Returns the clock beside another one that stands beside the same third."""
        return PublisherClock(self.offset - other.offset, self.bound + other.bound)


class Delivered(msgspec.Struct, omit_defaults=True):
    """The receipts of one publication at one worker or, merged, at several."""

    expected: Count = 0
    """Subscribers that were open when it was sent, and did not leave before they received it."""
    received: Count = 0
    """Of the expected: those that received it within the grace."""
    duplicates: Count = 0
    reordered: Count = 0
    times: Histogram = msgspec.field(default_factory=Histogram)
    """From its sending to each receipt; without receipts whose time is unknown or negative."""
    bound: Count = 0
    """Microseconds by which each of the times is wrong at most."""
    missed: Annotated[list[Count], msgspec.Meta(max_length=MAX_MISSED)] = []
    """The numbers of a few users that did not receive it."""

    def merge(self, other: "Delivered") -> None:
        """Adds the receipts at another worker to these."""
        self.expected += other.expected
        self.received += other.received
        self.duplicates += other.duplicates
        self.reordered += other.reordered
        self.times.merge(other.times)
        self.bound = max(self.bound, other.bound)
        self.missed = sorted(self.missed + other.missed)[:MAX_MISSED]


class News(msgspec.Struct, omit_defaults=True):
    """The part of a second that is about publications; empty in a run without any."""

    published: Annotated[dict[str, Published], msgspec.Meta(max_length=100_000)] = msgspec.field(
        default_factory=dict
    )
    """The publications that sessions sent, or that came from an external publisher, by key."""
    delivered: Annotated[dict[str, Delivered], msgspec.Meta(max_length=100_000)] = msgspec.field(
        default_factory=dict
    )
    """The publications whose grace is over, by key."""
    unstamped: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    """The beginning of a message without a stamp, where none of many had one."""

    def merge(self, other: "News") -> None:
        """Adds the news of another worker, or of another second, to these."""
        self.published |= other.published
        for key, delivered in other.delivered.items():
            self.delivered.setdefault(key, Delivered()).merge(delivered)
        self.unstamped = max(self.unstamped, other.unstamped)
