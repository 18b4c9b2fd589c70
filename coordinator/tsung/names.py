"""Tsung's names of our counters, durations and reasons (docs/tsung-log.md)."""

import re
from collections.abc import Iterable, Iterator

from loadgen.stats.histogram import Histogram
from loadgen.stats.reasons import KINDS, LOST, Kind, row_of
from loadgen.stats.tally import Tally

TRANSACTION = "tr_"
SCRIPT_TIMINGS = ("request", "page", "session")
"""The timings of scripts that have Tsung's names already."""


def atom(name: str) -> str:
    """Returns the name as one word, with `_` for what Tsung's readers refuse."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def error_name(kind: Kind, reason: str) -> str:
    """Returns Tsung's counter of the ends for a reason.

    It is empty where the ends were asked for.
    """
    return (row_of(kind, reason).tsung or "").replace("<reason>", atom(reason))


COUNTERS = {
    "opened": "websocket_succ",
    "lost": error_name("closed", LOST),
    "pings": "websocket_ping",
    "pongs": "websocket_pong",
    "messages_sent": "request_noack",
    "messages_received": "async_unknown_data_rcv",
    "bytes_sent": "size_sent",
    "bytes_received": "size_rcv",
    "sessions_started": "users_count",
    "sessions_done": "finish_users_count",
    "sessions_failed": "finish_users_count",
}
"""Tsung's counters by ours; a counter that Tsung does not have keeps our name."""
SCRIPT_COUNTERS = ("messages_sent", "messages_received")
"""The counters that scripts keep themselves, by Tsung's rules."""


def counters_of(total: Tally, *, scripted: bool) -> dict[str, int]:
    """Returns all counters that are not 0, by Tsung's names.

    In a scripted run the scripts count the messages.
    """
    found = _sums(
        (COUNTERS.get(name, name), count)
        for name, count in total.counts().items()
        if not (scripted and name in SCRIPT_COUNTERS)
    )
    found |= total.http_replies
    own = _sums((atom(name), count) for name, count in sorted(total.counters.items()))
    # Subtle: a session that counts its own errors has counted these ends already.
    found |= _sums((name, count) for name, count in _errors(total) if name not in own)
    found |= {f"own_{name}" if name in found else name: count for name, count in own.items()}
    return {name: count for name, count in found.items() if count}


def durations_of(tally: Tally, *, scripted: bool) -> dict[str, Histogram]:
    """Returns the histograms by Tsung's names.

    The timings of sessions' own become transactions.
    """
    named = [("connect", tally.connect), (f"{TRANSACTION}websocket_ping", tally.ping_rtt)]
    if not scripted:
        named.append(("request", tally.handshake))
    for name, histogram in sorted(tally.timings.items()):
        known = name.startswith(TRANSACTION) or (scripted and name in SCRIPT_TIMINGS)
        named.append((atom(name if known else f"{TRANSACTION}{name}"), histogram))
    found: dict[str, Histogram] = {}
    for name, histogram in named:
        found.setdefault(name, Histogram()).merge(histogram)
    return found


def _errors(total: Tally) -> Iterator[tuple[str, int]]:
    """Yields Tsung's counter and the count of each reason that is an error."""
    for kind in KINDS:
        for reason, count in getattr(total, kind).items():
            name = error_name(kind, reason)
            if name:
                yield name, count


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, count in pairs:
        sums[name] = sums.get(name, 0) + count
    return sums
