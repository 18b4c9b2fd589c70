"""Connections that the server ends or accepts late."""

from tests.truth.case import Finding, case, close, percentile, played, same
from tests.truth.server import Injection

LOAD = ("--local", "1", "--rate", "100", "--max", "300", "--think", "1")


@case("the server closes 30 % of the connections with code 1001", small=True)
def drops() -> list[Finding]:
    """A run in which the server dropped users does not pass."""
    options = (*LOAD, "--hold", "5", "--expect", "unexpected==0")
    with played(Injection(drop=0.3), *options) as (run, summary, server):
        return [
            same("unexpected", server["dropped"], summary["unexpected"]),
            same("closed.server_1001", server["dropped"], summary["closed"]["server_1001"]),
            same("verdict", "fail", summary["verdict"]),
            same("exit code", 1, run.end()),
        ]


@case("the server accepts nothing for 1 s in every 5 s")
def accept_stalls() -> list[Finding]:
    """A fifth of the users waits evenly between 0 and 1 s for the 101."""
    injection = Injection(accept_every=5.0, accept_pause=1.0)
    options = ("--local", "1", "--rate", "200", "--max", "4000", "--ping", "none", "--hold", "1")
    with played(injection, *options) as (_, summary, server):
        return [
            same("opened", server["opened"], summary["opened"]),
            close("handshake p90", 500.0, percentile(summary, "handshake_p90")),
            close("handshake p99", 950.0, percentile(summary, "handshake_p99")),
        ]
