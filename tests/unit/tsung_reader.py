"""tsung.log by the rules of its readers: Tsung's own tsung_stats.pl for the text, any parser for
the JSON form."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

DUMP = re.compile(r"^# stats:\s+dump at\s+(\d+)$")
STATS = re.compile(r"^stats: (\S+)\s+(.*)$")
END = re.compile(r"^EndMonitor:\{(\d+),(\d+),(\d+)\}$")


class Dump(NamedTuple):
    """One dump: its time in seconds since 1970, and the numbers behind each name, two or seven
    of them."""

    at: int
    values: dict[str, list[float]]


def read_text(text: str) -> list[Dump]:
    """The dumps; every line has to be one that the readers know, the last one the mark of the
    end."""
    dumps: list[Dump] = []
    *lines, last = text.splitlines()
    assert END.match(last), last
    for line in lines:
        if head := DUMP.match(line):
            dumps.append(Dump(int(head[1]), {}))
            continue
        stats = STATS.match(line)
        assert stats, line
        values = [float(value) for value in stats[2].split()]
        assert len(values) in (2, 7), line
        assert stats[1] not in dumps[-1].values, f"{stats[1]} twice"
        dumps[-1].values[stats[1]] = values
    return dumps


def read_json(text: str) -> list[Dump]:
    """The same of the JSON form, whose first entry is empty and says when the run began."""
    head, *entries = json.loads(text)["stats"]
    assert head["samples"] == []
    return [Dump(entry["timestamp"], dict(map(_named, entry["samples"]))) for entry in entries]


def _named(sample: dict[str, float | str]) -> tuple[str, list[float]]:
    name, *values = sample.values()
    assert list(sample)[:2] == ["name", "value"]
    return str(name), [float(value) for value in values]


def totals(dumps: list[Dump]) -> dict[str, float]:
    """How often each thing was counted in all, as the sum over the dumps; users and connected: as
    it is at the end.

    What a dump calls the total has to be the sum so far, or before it for durations.
    """
    sums: dict[str, float] = {}
    for dump in dumps:
        for name, values in dump.values.items():
            before = sums.get(name, 0.0)
            sums[name] = values[0] if name == "users" else before + values[0]
            if name != "users":
                told = values[6] if len(values) == 7 else values[1]
                assert told == (before if len(values) == 7 else sums[name]), (dump.at, name)
    return sums


def means(dumps: list[Dump], name: str) -> Iterator[float]:
    """The mean of a kind of duration in each dump that has any, in milliseconds."""
    return (dump.values[name][1] for dump in dumps if dump.values.get(name, [0])[0])
