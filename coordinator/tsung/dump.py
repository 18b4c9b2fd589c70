"""One dump of tsung.log, in Tsung's two forms: text and JSON."""

from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import Any, Literal, Protocol

import msgspec

from loadgen.stats.histogram import Histogram, highest_in, lowest_in

Form = Literal["text", "json"]


class StatsSample(msgspec.Struct):
    """The durations of one kind, in milliseconds: of an interval and before it."""

    count: int
    """Of the last interval, as are `mean` and `stddev`."""
    mean: float
    stddev: float
    max: float
    """The highest since the start of the run, as `min` is the lowest."""
    min: float
    global_mean: float
    """Of all durations before the last interval, as `global_count` is their number."""
    global_count: int

    @classmethod
    def of(cls, now: Histogram, before: Histogram) -> "StatsSample":
        """Returns the sample of an interval with the histogram `now`.

        `before` is the histogram of everything earlier; at least one of the two has a value.
        """
        indexes = now.counts.keys() | before.counts.keys()
        mean = _mean(now)
        squares = sum(
            count * ((lowest_in(index) + highest_in(index)) / 2 - mean) ** 2
            for index, count in now.counts.items()
        )
        return cls(
            count=now.total,
            mean=_ms(mean),
            stddev=_ms(sqrt(squares / now.total)) if now.counts else 0.0,
            max=_ms(highest_in(max(indexes))),
            min=_ms(lowest_in(min(indexes))),
            global_mean=_ms(_mean(before)),
            global_count=before.total,
        )


def _mean(histogram: Histogram) -> float:
    return histogram.sum / histogram.total if histogram.counts else 0.0


def _ms(microseconds: float) -> float:
    return round(microseconds / 1000, 4)


class Dump(msgspec.Struct):
    """All statistics at one moment."""

    at: int
    """In whole seconds since 1970."""
    users: int
    max_users: int
    """The most users at any moment so far."""
    connected: tuple[int, int]
    """The open connections: the change since the last dump, and the number."""
    samples: dict[str, StatsSample]
    counters: dict[str, tuple[int, int]]
    """The counts: those since the last dump, and those in all."""
    remarks: Sequence[str] = ()
    """Lines for people, which only the text has."""


class Writer(Protocol):
    """One of the forms of the file."""

    def dump(self, dump: Dump) -> bytes:
        """Returns one dump."""

    def end(self, now: float) -> bytes:
        """Returns the end of the file; `now` in seconds since 1970."""


class TextWriter:
    """The form that Tsung writes by default."""

    def __init__(self, began: int) -> None:
        """Takes the start of the run like the other form, and needs no head for it."""

    def dump(self, dump: Dump) -> bytes:
        """Returns all statistics, one on each line."""
        lines = [f"# {remark}" for remark in dump.remarks]
        lines += [f"# stats: dump at {dump.at}", _line("users", (dump.users, dump.max_users))]
        lines += [
            _line(name, msgspec.structs.astuple(sample)) for name, sample in dump.samples.items()
        ]
        lines.append(_line("connected", dump.connected))
        lines += [_line(name, values) for name, values in dump.counters.items()]
        return "".join(f"{line}\n" for line in lines).encode()

    def end(self, now: float) -> bytes:
        """Returns the time of the end in Erlang's form.

        It is {millions of seconds, seconds, microseconds}.
        """
        seconds, microseconds = divmod(int(now * 1e6), 1_000_000)
        return (
            f"EndMonitor:{{{seconds // 1_000_000},{seconds % 1_000_000},{microseconds}}}\n".encode()
        )


def _line(name: str, values: Iterable[float]) -> str:
    return f"stats: {name} {' '.join(map(str, values))}"


class JsonWriter:
    """The form of Tsung's backend="json": one object, complete once the run is over."""

    def __init__(self, began: int) -> None:
        """`began` is the start of the run, in seconds since 1970."""
        self._head = f'{{\n "stats": [\n {{"timestamp": {began},  "samples": ['

    def dump(self, dump: Dump) -> bytes:
        """Returns one more entry of the list."""
        samples: list[dict[str, Any]] = [
            {"name": "users", "value": dump.users, "max": dump.max_users}
        ]
        samples += [_json_sample(name, sample) for name, sample in dump.samples.items()]
        value, most = dump.connected
        samples.append({"name": "connected", "value": value, "max": most})
        samples += [
            {"name": f"http_{name}" if name.isdecimal() else name, "value": value, "total": total}
            for name, (value, total) in dump.counters.items()
        ]
        body = ", ".join(msgspec.json.encode(sample).decode() for sample in samples)
        return self._with_head(f']}},\n {{"timestamp": {dump.at},  "samples": [{body}')

    def end(self, now: float) -> bytes:
        """Returns the brackets that close the object."""
        return self._with_head("]}]}\n")

    def _with_head(self, text: str) -> bytes:
        """Returns the text, behind the head the first time."""
        head = self._head
        self._head = ""
        return (head + text).encode()


def _json_sample(name: str, sample: StatsSample) -> dict[str, Any]:
    figures = msgspec.structs.asdict(sample)
    return {"name": name, "value": figures.pop("count"), **figures}


WRITERS: dict[Form, Callable[[int], Writer]] = {"text": TextWriter, "json": JsonWriter}
