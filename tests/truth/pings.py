"""Pongs that come late, out of order, or never."""

from tests.truth.case import (
    PLACES,
    Finding,
    case,
    close,
    percentile,
    percentiles,
    played,
    same,
)
from tests.truth.server import Injection

LOAD = ("--local", "1", "--rate", "400", "--max", "400", "--think", "0.5", "--ping", "protocol")


def _delays(injection: Injection, hold: float = 15) -> list[Finding]:
    """Percentiles are those of the server's own delays; each pong counts once."""
    with played(injection, *LOAD, "--hold", f"{hold}") as (_, summary, server):
        return [
            *percentiles("ping_rtt", server["waited"], summary, tuple(PLACES)),
            same("pings", server["pings"], summary["pings"]),
            same("pongs", server["pongs"], summary["pongs"]),
        ]


@case("every pong after 100 ms")
def fixed_delay() -> list[Finding]:
    """One delay: every percentile is the same."""
    return _delays(Injection(delays=((1.0, 0.1),)))


@case("85 % of the pongs after 100 ms, 15 % after 400 ms", small=True)
def two_delays() -> list[Finding]:
    """Two delays, both shorter than the think time."""
    return _delays(Injection(delays=((0.85, 0.1), (1.0, 0.4))), hold=6)


@case("0.5 % of the pongs after 2 s, overtaken by three later ones")
def rare_delays() -> list[Finding]:
    """Late pongs are counted and timed though newer ones came before them."""
    return _delays(Injection(delays=((0.995, 0.05), (1.0, 2.0))))


@case("the whole server stands still for 1 s in every 5 s")
def stalls() -> list[Finding]:
    """A ping that is due in a standstill waits for its end.

    In four of them 800 pings a second are due, and wait evenly between 0 and 1 s: 3,200 (1 - t) of
    all pings wait longer than t seconds.
    """
    injection = Injection(stall_every=5.0, stall_for=1.0)
    with played(injection, *LOAD, "--hold", "20") as (_, summary, server):
        return [
            close(
                f"ping_rtt {statistic}",
                1000 - (1 - PLACES[statistic]) * server["pings"] / 3.2,
                percentile(summary, f"ping_rtt_{statistic}"),
                PLACES[statistic],
            )
            for statistic in ("p90", "p99")
        ]


@case("a server that answers only the newest ping, once in 3 s")
def newest_only() -> list[Finding]:
    """RFC 6455 section 5.5.3 allows it; a newer pong answers the older pings.

    The think time is no divisor of the server's 3 s: a ping that is due when the server answers
    would come before it or after it by luck.
    """
    injection = Injection(newest_only=3.0)
    options = (*LOAD[:6], "--think", "0.47", "--ping", "protocol", "--hold", "17.5")
    with played(injection, *options) as (_, summary, server):
        return [
            same("pings", server["pings"], summary["pings"]),
            same("pongs", server["pongs"], summary["pongs"]),
            same(
                "pongs_skipped + pongs_missing",
                server["pings"] - server["pongs"],
                summary["pongs_skipped"] + summary["pongs_missing"],
            ),
            *percentiles("ping_rtt", server["waited"], summary),
        ]


@case("half of the connections get no pong", small=True)
def mute() -> list[Finding]:
    """Connections that answer are counted, not pongs."""
    options = (*LOAD, "--hold", "6", "--expect", "alive_min>=199")
    with played(Injection(mute=0.5), *options) as (_, summary, server):
        owed = server["pings"] - server["pongs"]
        return [
            same("pongs_missing", owed, summary["pongs_missing"]),
            same("alive_min", server["opened"] - server["muted"], summary["alive_min"]),
            same("verdict", "pass", summary["verdict"]),
        ]
