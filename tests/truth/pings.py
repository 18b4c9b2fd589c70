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

    A fifth of them waits evenly between 0 and 1 s: p of them wait longer than 1 - 5p seconds.
    """
    injection = Injection(stall_every=5.0, stall_for=1.0)
    options = (*LOAD[:6], "--think", "0.5", "--hold", "19.5")
    with played(injection, *options) as (_, summary, _server):
        return [
            close(
                f"ping_rtt {statistic}",
                truth,
                percentile(summary, f"ping_rtt_{statistic}"),
                PLACES[statistic],
            )
            for statistic, truth in {"p90": 500.0, "p99": 950.0}.items()
        ]


@case("a server that answers only the newest ping, once in 3 s")
def newest_only() -> list[Finding]:
    """RFC 6455 section 5.5.3 allows it; a newer pong answers the older pings."""
    injection = Injection(newest_only=3.0)
    with played(injection, *LOAD, "--hold", "17.5") as (_, summary, server):
        return [
            same("pings", server["pings"], summary["pings"]),
            same("pongs", server["pongs"], summary["pongs"]),
            same(
                "pongs_skipped + pongs_missing",
                server["pings"] - server["pongs"],
                summary["pongs_skipped"] + summary["pongs_missing"],
            ),
            close("ping_rtt p99", 2970.0, percentile(summary, "ping_rtt_p99"), PLACES["p99"]),
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
