"""A fault breaks a part of a fleet on a stage of its own, and tells what the two ledgers say of it.

One whose outcome is not what was promised raises AssertionError.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.faults.stage import AGENTS, Stage
from tests.processes import Command, eventually

COUNT = 400
EACH = COUNT // AGENTS


class Found(NamedTuple):
    """What a fault showed."""

    ledger: str
    target: str
    noticed: float | None = None
    """Seconds from the fault until the coordinator, or the agent, told of it."""
    recovered: float | None = None
    """Seconds until everything was open again that the plan asks for."""
    lost: int = 0
    """Connections that the target counted and the ledger did not."""


Fault = Callable[[Stage], Found]
FAULTS: dict[str, tuple[str, Fault]] = {}
"""By name: what is injected, and who does it."""


def fault(injected: str) -> Callable[[Fault], Fault]:
    """Puts a fault into the list, under the name of its function."""

    def put(of: Fault) -> Fault:
        FAULTS[of.__name__.replace("_", " ")] = injected, of
        return of

    return put


def all_open(
    stage: Stage, *options: str, count: int = COUNT, agents: int = AGENTS, workers: int = 1
) -> list[Command]:
    """A fleet with all its connections open."""
    stage.target()
    stage.coordinator(*options, count=count, agents=agents)
    fleet = stage.fleet(agents, "--workers", str(workers))
    stage.opens(count, lost=0)
    return fleet


def agrees(stage: Stage, summary: dict[str, Any]) -> int:
    """How many connections the target counted that the ledger did not: none, after all is over."""
    eventually(lambda: stage.stats()["open"] == 0, "the target is empty")
    ends = summary["lost"] + sum(summary["closed"].values())
    assert (summary["opened"], summary["open_end"]) == (ends, 0), said(summary)
    return int(stage.stats()["opened"]) - int(summary["opened"])


def said(summary: dict[str, Any]) -> str:
    """The ledger in a few words."""
    parts = [
        f"opened {summary['opened']}",
        *(f"{reason} {count}" for reason, count in summary["closed"].items()),
    ]
    parts += [f"failed: {reason} {count}" for reason, count in summary["failed"].items()]
    parts += [f"lost {summary['lost']}"] if summary["lost"] else []
    parts += [f"relaunched {summary['relaunched']}"] if summary["relaunched"] else []
    return ", ".join(parts)


def counted(stage: Stage) -> str:
    """The target's ledger in a few words."""
    stats = stage.stats()
    return f"opened {stats['opened']}, closed {stats['closed']}"


def told(
    stage: Stage,
    summary: dict[str, Any],
    noticed: float | None = None,
    recovered: float | None = None,
) -> Found:
    """What both ledgers say once all is over."""
    lost = agrees(stage, summary)
    return Found(said(summary), counted(stage), noticed, recovered, lost)


def replaced(stage: Stage, noticed: float, lost: int, count: int = COUNT) -> Found:
    """Whatever was lost is open again, the ledger complete, and the target agrees to the last
    one."""
    recovered = stage.opens(count, lost=lost)
    summary = stage.drains()
    assert (summary["lost"], summary["relaunched"], summary["opened"]) == (
        lost,
        lost,
        count + lost,
    ), said(summary)
    return told(stage, summary, noticed, recovered)


def statuses(stage: Stage) -> list[str]:
    """What the coordinator says of each agent."""
    return [one["status"] for one in stage.state()["agents"]]
