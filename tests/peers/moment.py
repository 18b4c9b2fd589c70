"""One moment of a peer and its server, and the figures between two."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Counts(NamedTuple):
    """The server's own counts."""

    opened: int
    open: int
    pings: int
    """Ping frames received, each answered."""
    messages: int
    """Messages received, each echoed."""
    sent: int
    """Messages sent to connections unasked."""

    @property
    def turns(self) -> int:
        """Round trips that peers asked for, in frames or in text."""
        return self.pings + self.messages


class Moment(NamedTuple):
    """All processes of a peer, and the server's counts."""

    at: float
    """Seconds on the monotonic clock."""
    cpu_s: float
    """CPU seconds since the peer's start."""
    counts: Counts


def cpu_per_open(ramp: Sequence[Moment]) -> float | None:
    """Returns the CPU microseconds per open, from a tenth of all opens on.

    None without two moments that tell it.
    """
    last = ramp[-1]
    warm = [moment for moment in ramp if moment.counts.opened * 10 >= last.counts.opened > 0]
    opens = warm and last.counts.opened - warm[0].counts.opened
    return 1e6 * (last.cpu_s - warm[0].cpu_s) / opens if opens else None


def share_at_rest(begin: Moment, end: Moment) -> float | None:
    """Returns the cores that the peer used between two moments: 0.5 is half of one.

    None when it was not at rest, but still opened connections.
    """
    if begin.counts.opened != end.counts.opened:
        return None
    return (end.cpu_s - begin.cpu_s) / (end.at - begin.at)


def cpu_per_event(begin: Moment, end: Moment, events: int, rest: float | None) -> float | None:
    """Returns the CPU microseconds per event, beyond what the peer uses at rest.

    `rest` is the share of a core that it uses when nothing happens. None without it, and without an
    event.
    """
    if rest is None or not events:
        return None
    own = end.cpu_s - begin.cpu_s - rest * (end.at - begin.at)
    return 1e6 * own / events


class Opening(NamedTuple):
    """The opens of a peer that opens as fast as it can."""

    per_second: float
    cpu_us: float
    """CPU microseconds per open."""


def opening(dialed: Moment, ramp: Sequence[Moment]) -> Opening | None:
    """Returns the opens from the first dial until nine tenths of them were there.

    The slow end of the ramp, such as repeated handshakes, is left out. None without a ramp.
    """
    most = ramp[-1].counts.opened if ramp else 0
    end = next((each for each in ramp if 10 * each.counts.opened >= 9 * most > 0), None)
    if end is None or end.at == dialed.at:
        return None
    return Opening(
        end.counts.opened / (end.at - dialed.at),
        1e6 * (end.cpu_s - dialed.cpu_s) / end.counts.opened,
    )


def opens_per_second(opens: Iterable[float]) -> float | None:
    """Returns the opens a second of the middle eight tenths.

    `opens` has the times of all opens in ms. None where those are too few.
    """
    times = sorted(opens)
    tenth = len(times) // 10
    middle = times[tenth : len(times) - tenth]
    seconds = (middle[-1] - middle[0]) / 1e3 if middle else 0.0
    return (len(middle) - 1) / seconds if seconds else None
