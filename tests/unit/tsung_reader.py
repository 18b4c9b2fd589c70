"""Reads tsung.log by the rules of tsung_stats.pl.

It reads its JSON form with a JSON parser.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

DUMP = re.compile(r"^# stats:\s+dump at\s+(\d+)$")
STATS = re.compile(r"^stats: (\S+)\s+(.*)$")
END = re.compile(r"^EndMonitor:\{(\d+),(\d+),(\d+)\}$")


class Dump(NamedTuple):
    """One dump: its time, and the two or seven numbers of each name.

    The time is in seconds since 1970.
    """

    at: int
    values: dict[str, list[float]]


def read_text(text: str) -> list[Dump]:
    """Returns the dumps, and asserts that every line is one that the readers know."""
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
    """Returns the dumps of the JSON form, of which the first entry is empty."""
    head, *entries = json.loads(text)["stats"]
    assert head["samples"] == []
    return [Dump(entry["timestamp"], dict(map(_named, entry["samples"]))) for entry in entries]


def _named(sample: dict[str, float | str]) -> tuple[str, list[float]]:
    name, *values = sample.values()
    assert list(sample)[:2] == ["name", "value"]
    return str(name), [float(value) for value in values]


def totals(dumps: list[Dump]) -> dict[str, float]:
    """Returns the count of each name, as the sum over all dumps.

    It is the last value for `users` and `connected`. Asserts that the total in each dump is the sum
    so far, or for durations the sum before it.
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
