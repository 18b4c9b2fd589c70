"""The table of faults.

A fault breaks a part of the fleet on a stage and returns the outcome. It raises AssertionError when
the outcome is not the promised one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.faults.stage import AGENTS, Stage
from tests.processes import Command, eventually

COUNT = 400
EACH = COUNT // AGENTS


class FaultOutcome(NamedTuple):
    """The outcome of a fault, from our ledger and the target's."""

    ledger: str
    target: str
    noticed: float | None = None
    """Seconds from the fault until the coordinator or the agent reports it."""
    recovered: float | None = None
    """Seconds from the fault until all planned connections are open again."""
    lost: int = 0
    """Connections that the target counted and our ledger did not."""


Fault = Callable[[Stage], FaultOutcome]
FAULTS: dict[str, tuple[str, Fault]] = {}
"""By name, a description and the function that injects the fault."""


def fault(injected: str) -> Callable[[Fault], Fault]:
    """Puts a fault into the table, under the name of its function."""

    def put(of: Fault) -> Fault:
        FAULTS[of.__name__.replace("_", " ")] = injected, of
        return of

    return put


def all_open(
    stage: Stage, *options: str, count: int = COUNT, agents: int = AGENTS, workers: int = 1
) -> list[Command]:
    """Returns the agents of a fleet whose connections are all open."""
    stage.target()
    stage.coordinator(*options, count=count, agents=agents)
    fleet = stage.fleet(agents, "--workers", str(workers))
    stage.opens(count, lost=0)
    return fleet


def missed_by_ledger(stage: Stage, summary: dict[str, Any]) -> int:
    """Returns how many connections the target counted and our ledger did not.

    It waits until the target has no connections.
    """
    eventually(lambda: stage.stats()["open"] == 0, "the target is empty")
    ends = summary["lost"] + sum(summary["closed"].values())
    assert (summary["opened"], summary["open_end"]) == (ends, 0), ledger_text(summary)
    return int(stage.stats()["opened"]) - int(summary["opened"])


def ledger_text(summary: dict[str, Any]) -> str:
    """Returns a summary's ledger as one line."""
    parts = [
        f"opened {summary['opened']}",
        *(f"{reason} {count}" for reason, count in summary["closed"].items()),
    ]
    parts += [f"failed: {reason} {count}" for reason, count in summary["failed"].items()]
    parts += [f"lost {summary['lost']}"] if summary["lost"] else []
    parts += [f"relaunched {summary['relaunched']}"] if summary["relaunched"] else []
    return ", ".join(parts)


def target_text(stage: Stage) -> str:
    """Returns the target's ledger as one line."""
    stats = stage.stats()
    return f"opened {stats['opened']}, closed {stats['closed']}"


def outcome_of(
    stage: Stage,
    summary: dict[str, Any],
    noticed: float | None = None,
    recovered: float | None = None,
) -> FaultOutcome:
    """Returns the outcome after the end of the run."""
    lost = missed_by_ledger(stage, summary)
    return FaultOutcome(ledger_text(summary), target_text(stage), noticed, recovered, lost)


def replaced(stage: Stage, noticed: float, lost: int, count: int = COUNT) -> FaultOutcome:
    """Returns the outcome of a fault after which lost connections open again.

    All of them do so.
    """
    recovered = stage.opens(count, lost=lost)
    summary = stage.drains()
    assert (summary["lost"], summary["relaunched"], summary["opened"]) == (
        lost,
        lost,
        count + lost,
    ), ledger_text(summary)
    return outcome_of(stage, summary, noticed, recovered)


def statuses(stage: Stage) -> list[str]:
    """Returns the status of each agent, as the coordinator reports it."""
    return [one["status"] for one in stage.state()["agents"]]
