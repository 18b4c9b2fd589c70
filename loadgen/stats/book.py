"""The book of one publication: its receipts at one worker.

Times are seconds on this host's monotonic clock.
"""

from loadgen.stats.delivery import PublisherClock, Stamp
from loadgen.stats.heard import Heard
from loadgen.stats.histogram import Histogram


class Book:
    """The receipts of one publication."""

    __slots__ = (
        "announced",
        "bound",
        "channel",
        "closed",
        "counts",
        "duplicates",
        "fresh",
        "negative",
        "number",
        "reordered",
        "sent",
        "steps",
        "stream",
        "timed",
        "times",
        "until",
        "untimed",
    )

    def __init__(
        self, stamp: Stamp, sent: float, grace: float, clock: PublisherClock | None
    ) -> None:
        self.stream = stamp.stream
        self.number = stamp.number
        self.sent = sent
        """The time of its sending or, where that is unknown, when it was first heard of."""
        self.until = sent + grace
        """The end of its grace: what is received later is late, and does not count."""
        self.timed = clock is not None
        self.bound = clock.bound if clock is not None else 0.0
        """Seconds by which `sent` is wrong at most."""
        self.announced = False
        self.closed = False
        self.channel = ""
        self.counts: dict[int, int] = {}
        """Its first receipts by connections that had to receive it, by their group."""
        self.steps: dict[Heard, Heard] = {}
        """The next Heard of connections with the same one, where this publication is NEW; the first
        MAX_STEPS of them."""
        self.fresh = Histogram()
        """The times of the receipts since the last report."""
        self.times = Histogram()
        self.duplicates = 0
        self.reordered = 0
        self.negative = 0
        """Receipts before the sending by more than the bound; since the last report."""
        self.untimed = 0
        """Receipts without a time; since the last report."""
