"""The rows of feeders, in a file in memory that all workers of an agent read.

The file begins with the places of all rows, as numbers of eight bytes: for each feeder where its
rows begin, and where the last of them ends. The rows follow. A worker keeps none of them: it reads
the row of a user when the session asks for it.
"""

import os
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from loadgen.plan.feeder import Feeder, PlaceOf
from loadgen.plan.plan import Plan

ROWS_DESCRIPTOR = 3
"""The descriptor under which a worker has the file."""
NUMBER_SIZE = 8
"""Bytes of the place of a row."""


def file_of(tables: Sequence[bytes]) -> int:
    """Returns the descriptor of a file in memory with the rows of all feeders.

    It is never on a disk, since rows may be passwords; it is gone with the agent.
    """
    begin = NUMBER_SIZE * sum(table.count(b"\n") + 1 for table in tables)
    places = array("Q")
    for table in tables:
        places.append(begin)
        places.extend(begin + end.end() for end in re.finditer(b"\n", table))
        begin = places[-1]
    descriptor = os.memfd_create("rows", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(places.tobytes())
        file.writelines(tables)
    return descriptor


class FeederRows:
    """The rows of one feeder."""

    def __init__(self, descriptor: int, first: int, feeder: Feeder, place_of: PlaceOf) -> None:
        """`first` is the number of the place of its first row in the file."""
        self.place_of = place_of
        """The function from a user's number to the place of its row, if it has one."""
        self.name = feeder.name
        self._descriptor = descriptor
        self._first = first
        self._columns = feeder.columns

    def fields(self, number: int) -> Iterable[tuple[str, Any]]:
        """Returns the names and values of a user's row; none without a row."""
        place = self.place_of(number)
        if place is None:
            return ()
        at = NUMBER_SIZE * (self._first + place)
        begin, end = array("Q", os.pread(self._descriptor, 2 * NUMBER_SIZE, at))
        row = msgspec.json.decode(os.pread(self._descriptor, end - begin, begin))
        return zip(self._columns, row, strict=True)


class UserRows:
    """The rows that the users of one session have, of one feeder or of several."""

    def __init__(self, feeders: Sequence[FeederRows]) -> None:
        self._feeders = feeders

    def __getitem__(self, number: int) -> Mapping[str, Any]:
        """Returns a user's row, the same on any worker; read only."""
        return MappingProxyType(dict(self._fields(number)))

    def _fields(self, number: int) -> Iterable[tuple[str, Any]]:
        return (field for feeder in self._feeders for field in feeder.fields(number))

    def dry_for(self, number: int) -> str:
        """Returns the name of a feeder without a row for a user; "" when all have one."""
        dry = (feeder.name for feeder in self._feeders if feeder.place_of(number) is None)
        return next(dry, "")


def rows_of(plan: Plan, descriptor: int = ROWS_DESCRIPTOR) -> dict[str, UserRows]:
    """Returns the rows of each session that has some, by the session's name."""
    feeders = []
    first = 0
    for feeder in plan.feeders:
        feeders.append((feeder, FeederRows(descriptor, first, feeder, plan.places_of(feeder))))
        first += feeder.count + 1
    fed = {
        spec.name: [rows for feeder, rows in feeders if feeder.feeds(spec.name)]
        for spec in plan.session_specs
    }
    return {name: UserRows(rows) for name, rows in fed.items() if rows}
