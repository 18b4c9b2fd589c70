"""Connections that the server ends."""

from tests.truth.case import Finding, case, played, same
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
