"""The feeders of a plan, and the place of each user's row in them.

A row follows from a user's number, so that any fleet gives each user the same one.
"""

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec

from loadgen.plan.seeded import chance

MAX_ROWS_BYTES = 64 << 20
"""Bytes that the rows of a feeder may have, as JSON."""
FEEDER_SALT = 1_000_100
"""The salt of the draw of a row; further feeders have the numbers after it."""
MARKED = 32
"""Numbers between two marks of a count: the most that are counted anew."""
PlaceOf = Callable[[int], int | None]
"""A function from a user's number to the place of its row; None: the feeder has none for it."""
FeederName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$")]
"""The name of a feeder, which is also that of its file in a run directory."""


class Feeder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file with one row for each user, or the rows themselves."""

    name: FeederName = "users"
    file: str = ""
    """Its path, relative to the plan file."""
    format: Literal["", "csv", "jsonl", "python"] = ""
    """The form of the file; empty: by the end of its name."""
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = '"'
    encoding: str = "utf-8"
    names: tuple[str, ...] = ()
    """The names of the columns, where the file has no header."""
    rows: tuple[dict[str, Any], ...] = ()
    """The rows, instead of a file."""
    mode: Literal["unique", "shared", "random"] = "unique"
    """`unique`: each row is one user's; `shared`: users take the rows in turn; `random`: each user
    draws one."""
    at_end: Literal["fail", "stop", "wrap"] = "fail"
    """What becomes of users beyond the last row of a `unique` feeder: the plan is refused, they end
    as `no_row`, or they begin again with the first row."""
    sessions: tuple[str, ...] = ()
    """The sessions whose users have a row; empty: all."""
    columns: tuple[str, ...] = ()
    """The names of its columns, found when the plan is read."""
    count: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The number of its rows, found when the plan is read; 0 before that."""
    sha256: str = ""
    """The SHA-256 of its rows as they travel to the agents, in hexadecimal digits."""
    table: bytes = b""
    """The rows as they travel: each a line with a JSON array. Only the coordinator's plan has them.
    """

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yields each mistake in it: the key, and what is wrong there."""
        if self.rows and self.file:
            yield "rows", "are given beside `file`; leave one of them out"
        if not (self.rows or self.file or self.count):
            yield "", "needs a `file` with rows, or `rows`"
        if self.at_end != "fail" and self.mode != "unique":
            yield (
                "at_end",
                f'has no effect with `mode = "{self.mode}"`, which never ends; leave it out',
            )
        for key in ("delimiter", "quote"):
            if getattr(self, key) in "\r\n\0":
                yield key, "is the end of a line or a null character; write another sign"
        if self.delimiter == self.quote:
            yield "quote", "is also the `delimiter`; write another sign"

    def feeds(self, session: str) -> bool:
        """Returns whether the users of a session have one of its rows."""
        return not self.sessions or session in self.sessions

    @property
    def endless(self) -> bool:
        """True when it has a row for any number of users."""
        return self.mode != "unique" or self.at_end == "wrap"

    @property
    def kept(self) -> "Feeder":
        """The feeder as a run directory has it: with a file of the rows as they travel."""
        return Feeder(
            name=self.name,
            file=f"feeders/{self.name}.jsonl",
            format="jsonl",
            names=self.columns,
            mode=self.mode,
            at_end=self.at_end,
            sessions=self.sessions,
            columns=self.columns,
            count=self.count,
            sha256=self.sha256,
        )

    @property
    def without_rows(self) -> "Feeder":
        """The feeder without what may be a password: its rows."""
        return msgspec.structs.replace(self, rows=(), table=b"")


class Ranks:
    """Counts the users of some sessions whose numbers are below a number.

    Counts of numbers in ascending order cost one draw of a session for each number passed.
    """

    def __init__(self, session_of: Callable[[int], int], sessions: Collection[int]) -> None:
        """`session_of` gives the place of a user's session; `sessions` are counted."""
        self._session_of = session_of
        self._sessions = frozenset(sessions)
        self._marks = array("Q", [0])
        """The counts below each MARKED-th number."""
        self._last = (0, 0)
        """The number that was counted last, and its count."""

    def __call__(self, number: int) -> int:
        """Returns the count of users below a number."""
        while len(self._marks) <= number // MARKED:
            begin = (len(self._marks) - 1) * MARKED
            self._marks.append(self._marks[-1] + self._between(begin, begin + MARKED))
        begin = number // MARKED * MARKED
        count = self._marks[number // MARKED]
        last, counted = self._last
        if begin <= last <= number:
            begin, count = last, counted
        count += self._between(begin, number)
        self._last = number, count
        return count

    def _between(self, begin: int, end: int) -> int:
        session_of, sessions = self._session_of, self._sessions
        return sum(session_of(number) in sessions for number in range(begin, end))


def place_of(feeder: Feeder, salt: int, seed: int, rank: Callable[[int], int] | None) -> PlaceOf:
    """Returns the function from a user's number to the place of its row.

    `rank` counts the feeder's users below a number; None: all users are its own. Draws with another
    salt are independent.
    """
    count = feeder.count
    if feeder.mode == "random":
        return lambda number: int(chance(seed, number, salt) * count)
    if rank is None:
        if feeder.endless:
            return lambda number: number % count
        return lambda number: number if number < count else None
    if feeder.endless:
        return lambda number: rank(number) % count
    return lambda number: place if (place := rank(number)) < count else None


def feeder_mistakes(
    feeders: Sequence[Feeder], sessions: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yields each mistake in a plan's feeders: the key, and what is wrong there.

    `sessions` are the names of the plan's sessions.
    """
    names = [feeder.name for feeder in feeders]
    for place, feeder in enumerate(feeders):
        at = f"feeders[{place}]"
        yield from ((f"{at}.{key}" if key else at, what) for key, what in feeder.mistakes())
        if feeder.name in names[:place]:
            yield f"{at}.name", f"is {feeder.name!r} a second time; give each its own"
        for name in feeder.sessions:
            if name not in sessions:
                yield (
                    f"{at}.sessions",
                    f"names {name!r}; the plan's sessions are {', '.join(sessions)}",
                )
        yield from ((at, what) for what in _clashes(feeder, feeders[:place], sessions))


def _clashes(feeder: Feeder, before: Sequence[Feeder], sessions: Sequence[str]) -> Iterator[str]:
    """Yields a mistake for each column that a user would have from two feeders."""
    for other in before:
        both = any(feeder.feeds(name) and other.feeds(name) for name in sessions)
        for column in feeder.columns:
            if both and column in other.columns:
                yield f"has the column {column!r}, which feeder {other.name!r} has too; rename one"
