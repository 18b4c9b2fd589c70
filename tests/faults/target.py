"""Faults of the target."""

import signal
import time

from tests.faults.fault import COUNT, FaultOutcome, fault, ledger_text, outcome_of
from tests.faults.stage import Stage
from tests.processes import eventually

COMING_BACK = """
target = "{url}"
think = 1
hold = 600
[[phases]]
rate = 400
duration = 1
[[phases]]
duration = 600
keep = true
"""
"""A plan of users that come back after a reset."""


@fault("SIGKILL to the target, started again after 3 s, by users that come back")
def target_killed_and_restarted(stage: Stage) -> FaultOutcome:
    """Connections end as reset or server_eof.

    Users that come back meanwhile are refused.
    """
    stage.target()
    plan = stage.folder / "plan.toml"
    plan.write_text(COMING_BACK.format(url=stage.server.ws))
    stage.coordinator("--plan", str(plan), planned=True)
    stage.fleet()
    stage.opens(COUNT)
    opened = stage.stats()["opened"]
    stage.mark_fault()
    stage.target_process.send(signal.SIGKILL)
    stage.target_process.process.wait()
    noticed = stage.within(lambda: stage.ledger()["open"] == 0, lambda: f"none: {stage.ledger()}")
    time.sleep(max(0.0, stage.fault_at + 3.0 - time.monotonic()))
    stage.target()
    recovered = stage.opens(COUNT)
    summary = stage.drains()
    assert summary["failed"].keys() <= {"refused", "reset"} != set(), ledger_text(summary)
    found = outcome_of(stage, summary, noticed, recovered)
    return found._replace(target=f"{opened} before, then {found.target}", lost=found.lost + opened)


def against(stage: Stage, *options: str, expected: str, code: int = 0) -> FaultOutcome:
    """Returns the outcome of a short run; all connections have the `expected` reason."""
    stage.target(*options)
    stage.coordinator(agents=1, hold=2, count=100)
    stage.fleet(1)
    summary = stage.ends(code)
    reasons = summary["failed"] | summary["closed"]
    assert reasons.get(expected, 0) > 0, ledger_text(summary)
    return outcome_of(stage, summary)


@fault("no target listens")
def target_refuses_connections(stage: Stage) -> FaultOutcome:
    """Every connection fails as refused."""
    stage.target(port=9506)
    stage.server = stage.server._replace(port=9505)
    stage.coordinator(agents=1, hold=1, count=100)
    stage.fleet(1)
    summary = stage.ends(0)
    assert summary["failed"] == {"refused": 100}, ledger_text(summary)
    return FaultOutcome(ledger_text(summary), "nothing")


@fault("the target answers 503")
def target_refuses_upgrades(stage: Stage) -> FaultOutcome:
    """Every connection fails as http_503."""
    return against(stage, "--vice", "refuse", expected="http_503")


@fault("the target's limit is 60 of 100")
def target_at_its_limit(stage: Stage) -> FaultOutcome:
    """The connections within the limit open, the rest fails as http_503."""
    found = against(stage, "--limit", "60", expected="http_503")
    assert "http_503 40" in found.ledger, found
    return found


@fault("the target resets each connection after 1 s")
def target_resets(stage: Stage) -> FaultOutcome:
    """Every connection opens, and closes as reset."""
    return against(stage, "--vice", "reset=1", expected="reset")


@fault("the target reads the request and never answers")
def target_stalls(stage: Stage) -> FaultOutcome:
    """The connections are drained before their timeout: none opens."""
    found = against(stage, "--vice", "stall", expected="timeout")
    assert found.ledger.startswith("opened 0"), found
    return found


@fault("the target accepts, and never answers a ping")
def target_never_answers(stage: Stage) -> FaultOutcome:
    """Missing pongs end the connections as ping_timeout."""
    stage.target("--vice", "no-pong")
    stage.coordinator(agents=1, count=100)
    stage.fleet(1)
    eventually(lambda: stage.stats()["open"] == 100, "all are open")
    stage.mark_fault()
    noticed = stage.within(
        lambda: stage.ledger()["closed"].get("ping_timeout") == 100,
        lambda: f"timeouts: {stage.ledger()}",
    )
    summary = stage.ends(0)
    return outcome_of(stage, summary, noticed)
