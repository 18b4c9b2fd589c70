"""tsung.log: a run as Tsung's readers know it, a dump of all its statistics every ten seconds
(docs/tsung-log.md).

Counts are the ledger's own, exactly. Means and deviations come from the buckets of our histograms,
1 % off at most.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from math import sqrt
from typing import Any, Literal, Protocol

import msgspec

from coordinator.run.timeline import Entry
from loadgen.stats.histogram import Histogram, highest_in, lowest_in
from loadgen.stats.reasons import LOST, Kind, row_of
from loadgen.stats.tally import Ledger, Tally

Form = Literal["text", "json"]
INTERVAL = 10
"""Seconds between two dumps."""
TRANSACTION = "tr_"
SAMPLES = ("request", "page", "session")
"""What scripts time under names of Tsung's own."""


class StatsSample(msgspec.Struct):
    """Durations of one kind, in milliseconds: of the last interval, and so far."""

    count: int
    mean: float
    stddev: float
    max: float
    """The highest since the start, as `min` is the lowest."""
    min: float
    global_mean: float
    """Of all that came before this interval, as `global_count` is their number."""
    global_count: int


class Dump(msgspec.Struct):
    """All statistics at one moment, in whole seconds since 1970."""

    at: int
    users: int
    most_users: int
    connected: tuple[int, int]
    """How many more than at the last dump, and how many in all."""
    samples: dict[str, StatsSample]
    counters: dict[str, tuple[int, int]]
    """How many more than at the last dump, and how many in all."""


class TsungLog:
    """The dumps of one run, as the bytes that are to be appended to the file."""

    def __init__(self, form: Form, began: float, *, scripted: bool = False) -> None:
        """`began` is when second 0 began, in seconds since 1970; in a scripted run the scripts
        count the requests."""
        self._write = WRITERS[form](int(began))
        self._began = int(began)
        self._scripted = scripted
        self._before = Tally()
        """Everything before this interval."""
        self._interval = Tally()
        self._counters: dict[str, int] = {}
        self._connected = self._users = self._most_users = 0
        self._boundary = INTERVAL
        self._over = 0

    def add(self, entry: Entry) -> bytes:
        """Takes a settled second; a correction of an earlier one counts into the interval that
        is open."""
        written = b""
        while entry.row.second >= self._boundary:
            written += self._dump(self._boundary)
            self._boundary += INTERVAL
        self._interval.merge(entry.fresh)
        self._over = max(self._over, entry.row.second + 1)
        self._users += entry.fresh.sessions_started - entry.fresh.sessions_done
        self._most_users = max(self._most_users, self._users)
        return written

    def end(self, now: float) -> bytes:
        """The last dump and the mark of the end; `now` in seconds since 1970."""
        return self._dump(self._over) + self._write.end(now)

    def _dump(self, second: int) -> bytes:
        interval, before = self._interval, self._before
        samples = _samples(
            _durations(interval, scripted=self._scripted),
            _durations(before, scripted=self._scripted),
        )
        before.merge(interval)
        self._interval = Tally()
        counters = _counters(before, scripted=self._scripted)
        connected = Ledger.of(None, before).open
        dump = Dump(
            at=self._began + second,
            users=self._users,
            most_users=self._most_users,
            connected=(connected - self._connected, connected),
            samples=samples,
            counters={
                name: (count - self._counters.get(name, 0), count)
                for name, count in counters.items()
            },
        )
        self._counters, self._connected = counters, connected
        return self._write.dump(dump)


def _durations(tally: Tally, *, scripted: bool) -> dict[str, Histogram]:
    """The histograms by Tsung's names; names of sessions' own become transactions."""
    named = [("connect", tally.connect), (f"{TRANSACTION}websocket_ping", tally.ping_rtt)]
    if not scripted:
        named.append(("request", tally.handshake))
    for name, histogram in sorted(tally.timings.items()):
        known = name.startswith(TRANSACTION) or (scripted and name in SAMPLES)
        named.append((_atom(name if known else f"{TRANSACTION}{name}"), histogram))
    found: dict[str, Histogram] = {}
    for name, histogram in named:
        found.setdefault(name, Histogram()).merge(histogram)
    return found


def _samples(
    interval: dict[str, Histogram], before: dict[str, Histogram]
) -> dict[str, StatsSample]:
    found = {}
    for name in before | interval:
        now, past = interval.get(name, Histogram()), before.get(name, Histogram())
        if now.counts or past.counts:
            found[name] = _sample(now, past)
    return found


def _sample(now: Histogram, past: Histogram) -> StatsSample:
    indexes = now.counts.keys() | past.counts.keys()
    mean = _mean(now)
    squares = sum(
        count * ((lowest_in(index) + highest_in(index)) / 2 - mean) ** 2
        for index, count in now.counts.items()
    )
    return StatsSample(
        count=now.total,
        mean=_ms(mean),
        stddev=_ms(sqrt(squares / now.total)) if now.counts else 0.0,
        max=_ms(highest_in(max(indexes))),
        min=_ms(lowest_in(min(indexes))),
        global_mean=_ms(_mean(past)),
        global_count=past.total,
    )


def _mean(histogram: Histogram) -> float:
    return histogram.sum / histogram.total if histogram.counts else 0.0


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 4)


def _counters(total: Tally, *, scripted: bool) -> dict[str, int]:
    """All counters by Tsung's names."""
    found = {
        "users_count": total.sessions_started,
        "finish_users_count": total.sessions_done,
        "size_rcv": total.bytes_received,
        "size_sent": total.bytes_sent,
        "websocket_succ": total.opened,
        "websocket_ping": total.pings,
        "websocket_pong": total.pongs,
        _error("closed", LOST): total.lost,
    }
    if not scripted:
        found |= {
            "request_noack": total.messages_sent,
            "async_unknown_data_rcv": total.messages_received,
        }
    own = _sums((_atom(name), count) for name, count in sorted(total.counters.items()))
    # Where a session counts its own errors, they are the ends of its connections too.
    found |= _sums((name, count) for name, count in _errors(total) if name not in own)
    found |= {f"own_{name}" if name in found else name: count for name, count in own.items()}
    return {name: count for name, count in found.items() if count}


def _errors(total: Tally) -> Iterator[tuple[str, int]]:
    """Yields Tsung's counter of each end that was not asked for, and how many such ends there
    were."""
    ends: tuple[tuple[Kind, dict[str, int]], ...] = (
        ("failed", total.failed),
        ("closed", total.closed),
    )
    for kind, counts in ends:
        for reason, count in counts.items():
            name = _error(kind, reason)
            if name:
                yield name, count


def _error(kind: Kind, reason: str) -> str:
    """Returns Tsung's counter of an end; empty where the end was asked for."""
    return (row_of(kind, reason).tsung or "").replace("<reason>", _atom(reason))


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, count in pairs:
        sums[name] = sums.get(name, 0) + count
    return sums


def _atom(name: str) -> str:
    """A name that Tsung's readers take for one word."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


class Writer(Protocol):
    """One of the forms of the file."""

    def dump(self, dump: Dump) -> bytes:
        """All statistics of a moment."""

    def end(self, now: float) -> bytes:
        """The mark of the end."""


class Text:
    """The text that Tsung writes unless told otherwise."""

    def __init__(self, began: int) -> None:
        """Without a head: the first line is that of the first dump."""

    def dump(self, dump: Dump) -> bytes:
        """All statistics, one a line."""
        lines = [f"# stats: dump at {dump.at}", _line("users", (dump.users, dump.most_users))]
        lines += [
            _line(name, msgspec.structs.astuple(sample)) for name, sample in dump.samples.items()
        ]
        lines.append(_line("connected", dump.connected))
        lines += [_line(name, values) for name, values in dump.counters.items()]
        return "".join(f"{line}\n" for line in lines).encode()

    def end(self, now: float) -> bytes:
        """When it ended, as Erlang writes a time: millions of seconds, seconds, microseconds."""
        seconds, microseconds = divmod(int(now * 1e6), 1_000_000)
        return (
            f"EndMonitor:{{{seconds // 1_000_000},{seconds % 1_000_000},{microseconds}}}\n".encode()
        )


def _line(name: str, values: Iterable[float]) -> str:
    return f"stats: {name} {' '.join(map(str, values))}"


class Json:
    """What Tsung's backend="json" writes: one object, which is whole once the run is over."""

    def __init__(self, began: int) -> None:
        self._head = f'{{\n "stats": [\n {{"timestamp": {began},  "samples": ['

    def dump(self, dump: Dump) -> bytes:
        """One more entry of the list."""
        samples: list[dict[str, Any]] = [
            {"name": "users", "value": dump.users, "max": dump.most_users}
        ]
        samples += [_json_sample(name, sample) for name, sample in dump.samples.items()]
        samples.append(
            dict(zip(("name", "value", "max"), ("connected", *dump.connected), strict=True))
        )
        samples += [
            {"name": f"http_{name}" if name.isdecimal() else name, "value": value, "total": total}
            for name, (value, total) in dump.counters.items()
        ]
        body = ", ".join(msgspec.json.encode(sample).decode() for sample in samples)
        return self._open(f']}},\n {{"timestamp": {dump.at},  "samples": [{body}')

    def end(self, now: float) -> bytes:
        """Closes what is open."""
        return self._open("]}]}\n")

    def _open(self, text: str) -> bytes:
        head, self._head = self._head, ""
        return (head + text).encode()


def _json_sample(name: str, sample: StatsSample) -> dict[str, Any]:
    figures = msgspec.structs.asdict(sample)
    return {"name": name, "value": figures.pop("count"), **figures}


WRITERS: dict[Form, Callable[[int], Writer]] = {"text": Text, "json": Json}
