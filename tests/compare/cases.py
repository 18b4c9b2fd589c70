"""The files that both tools run, with expectations and known differences."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.compare.smirnov import Distribution, even, exponential

FILES = Path(__file__).with_name("files")


class Known(NamedTuple):
    """A known difference, with its reason."""

    names: tuple[str, ...]
    """Patterns of the names of counts that differ (fnmatch)."""
    why: str

    def explains(self, name: str) -> bool:
        """True when a count may differ for this reason."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


class Case(msgspec.Struct, frozen=True):
    """One file that both tools run."""

    name: str
    shows: str
    rates: tuple[tuple[int, float], ...]
    """The users and their arrivals per second, phase by phase."""
    spread: int = 0
    """The arrivals that are taken together, where users come faster than a tool can resolve."""
    thinks: dict[str, Distribution] = {}
    """The distributions of the times after messages, by their text."""
    chances: dict[str, float] = {}
    """The probability that a user is counted, by the name of the count."""
    known: tuple[Known, ...] = ()

    @property
    def file(self) -> Path:
        """The path of the file."""
        return FILES / f"{self.name}.xml"


EVERYWHERE = (
    Known(
        ("size_sent", "size_rcv"),
        "Tsung sends an Origin, and in close frames the text `close`, which comes back; "
        "loadgen sends the port in Host",
    ),
    Known(
        ("error_connect_eaddrinuse",),
        "Tsung counts source ports that others hold, loadgen steps over them",
    ),
    Known(("newphase",), "loadgen does not count phases in tsung.log"),
)

CASES = (
    Case(
        "reference",
        "Appwrite's own file, scaled down",
        ((2000, 300),),
        spread=20,
        known=(
            Known(
                ("ends with *", "users", "connected", "finish_users_count"),
                "when the time of the run is over Tsung drops its connections and does not count"
                " their users; loadgen closes with 1000",
            ),
            Known(("error_abort",), "Tsung counts the end of its time as an error"),
            Known(
                ("arrivals",),
                "users arrive every 3.3 ms, loadgen looks every 5 ms for due users, and Tsung waits"
                " whole milliseconds; over 20 users loadgen's evens out. The reference run had 31 a"
                " second and worker, this one has 150",
            ),
            Known(("page",), "the silent loop is built in, not a script, and counts no pages"),
        ),
    ),
    Case("ack", "answered messages, text and binary", ((180, 30),)),
    Case(
        "think",
        "random think times",
        ((180, 30),),
        thinks={"exponential": exponential(2), "even": even(1, 2)},
    ),
    Case("loops", "for, repeat, foreach, if", ((180, 30),)),
    Case("variables", "variables, a match, a transaction", ((180, 30),)),
    Case("phases", "two phases, messages without an answer", ((45, 15), (100, 25))),
    Case(
        "sessions",
        "three sessions by probability",
        ((210, 30),),
        chances={
            "users of /echo/quick": 0.5,
            "users of /echo/slow": 0.3,
            "users of /echo/slower": 0.2,
        },
    ),
    Case(
        "ends",
        "sessions without a close",
        ((90, 30),),
        known=(
            Known(
                ("ends with *",),
                "Tsung drops the connection of a session that is over, loadgen closes it with 1000",
            ),
        ),
    ),
    Case(
        "overrun",
        "a phase without maxnumber",
        ((120, 30),),
        known=(
            Known(
                (
                    "TCP connections",
                    "upgrades",
                    "ends with close frame 1000",
                    "users of /echo",
                    "text messages",
                    "“here”",
                    "session",
                    "users_count",
                    "finish_users_count",
                    "request",
                    "connect",
                    "page",
                    "websocket_succ",
                ),
                "Tsung drops the users that remain when the time of the phase is over; loadgen"
                " launches all users that the configuration expects",
            ),
        ),
    ),
    Case(
        "pings",
        "a server that pings",
        ((60, 30),),
        known=(
            Known(("pongs",), "Tsung answers no ping"),
            Known(
                ("match", "nomatch"),
                "Tsung takes the ping that arrives while it waits for the reply",
            ),
            Known(
                ("async_unknown_data_rcv",),
                "Tsung counts everything that arrives during a think time, including pings, without"
                " reading it; for loadgen a ping is not a message",
            ),
        ),
    ),
    Case(
        "goodbye",
        "a server that closes during a think time",
        ((60, 30),),
        known=(
            Known(
                (
                    "TCP connections",
                    "text messages",
                    "binary messages",
                    "“*”",
                    "request",
                    "request_noack",
                    "page",
                    "connect",
                    "error_*",
                    "ends with *",
                    "async_unknown_data_rcv",
                ),
                "Tsung does not read the close frame, and later sends its message on a new TCP"
                " connection without an upgrade; for loadgen the session is over",
            ),
        ),
    ),
    Case(
        "pieces",
        "a 101 in two pieces",
        ((60, 30),),
        known=(
            Known(
                (
                    "ends with *",
                    "text messages",
                    "“hello”",
                    "request",
                    "page",
                    "websocket_succ",
                    "error_unknown",
                    "size_*",
                ),
                "Tsung needs the 101 in one piece, and fails",
            ),
        ),
    ),
    Case(
        "unasked",
        "messages during a think time",
        ((60, 30),),
        known=(Known(("async_unknown_data_rcv",), "Tsung counts chunks of TCP, loadgen messages"),),
    ),
)
