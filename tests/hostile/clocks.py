"""Machines that pause, and clocks that jump."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.debian import installed
from tests.faults.fault import ledger_text
from tests.hostile.arena import COUNT, FLEET, Arena, Survived, workers_of
from tests.hostile.trial import trial
from tests.processes import Command, children


def _with_workers(agents: Sequence[Command]) -> list[int]:
    """Returns the process ids of agents, their fork servers and their workers."""
    found = []
    for agent in agents:
        found += [agent.pid, *children(agent.pid), *workers_of(agent)]
    return found


@contextmanager
def _paused(pids: Sequence[int]) -> Iterator[None]:
    """Stops processes as long as the block lasts, as if their machine was."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def _goes_on(arena: Arena) -> Survived:
    """Returns the outcome of a run that lost no agent."""
    time.sleep(3.0)
    arena.all_run()
    ledger = arena.ledger()
    assert (ledger["lost"], ledger["open"]) == (0, COUNT), f"{ledger} {arena.coord.err}"
    summary = arena.drains()
    assert summary["lost"] == 0, ledger_text(summary)
    marked = len(summary["invalid_seconds"])
    result = arena.survived(summary)
    return result._replace(ledger=f"{result.ledger}; {marked} seconds are marked as invalid")


@trial("the coordinator stands still for 12 s (SIGSTOP, SIGCONT)", small=True)
def coordinator_paused(arena: Arena) -> Survived:
    """No agent is lost for the coordinator's own pause."""
    arena.opened()
    with _paused([arena.coord.pid]):
        time.sleep(12.0)
    return _goes_on(arena)


@trial("the whole machine stands still for 12 s: coordinator, agents, workers")
def machine_paused(arena: Arena) -> Survived:
    """All go on where they were."""
    fleet = arena.opened()
    with _paused([*_with_workers(fleet), arena.coord.pid]):
        time.sleep(12.0)
    return _goes_on(arena)


@trial("one agent of two stands still with its workers for 8 s")
def agent_paused(arena: Arena) -> Survived:
    """It is silent, not lost; its seconds come late and are marked."""
    fleet = arena.opened()
    with _paused(_with_workers(fleet[:1])):
        time.sleep(8.0)
    return _goes_on(arena)


def _jumping(arena: Arena) -> tuple[Path, tuple[str, ...]]:
    """Returns the file of a clock's offset, and how to start a process on it."""
    installed("faketime")
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    offset = arena.folder / "offset"
    offset.write_text("+0\n")
    clock = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    return offset, ("env", *(f"{name}={value}" for name, value in clock.items()))


@trial("the monotonic clock of the coordinator jumps ahead by 60 s")
def coordinators_clock_jumps(arena: Arena) -> Survived:
    """The agents have their grace again, and seconds are numbered as theirs."""
    offset, wrap = _jumping(arena)
    arena.opened(wrap=wrap)
    offset.write_text("+60\n")
    time.sleep(8.0)
    return _goes_on(arena)


@trial("the monotonic clock of one agent of two jumps ahead by 20 s")
def agents_clock_jumps(arena: Arena) -> Survived:
    """Its second numbers follow the run again."""
    offset, wrap = _jumping(arena)
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET)
    arena.agent("a1", wrap=wrap)
    arena.agent("a2")
    arena.opens(COUNT, lost=0)
    offset.write_text("+20\n")
    time.sleep(8.0)
    return _goes_on(arena)


@trial("the machine of the coordinator is paused for 12 s, and its clock with it")
def coordinator_paused_with_clock(arena: Arena) -> Survived:
    """The agents are ahead afterwards, and their seconds count all the same."""
    offset, wrap = _jumping(arena)
    arena.opened(wrap=wrap)
    with _paused([arena.coord.pid]):
        time.sleep(12.0)
        offset.write_text("-12\n")
    return _goes_on(arena)


@trial("the machine of one agent of two is paused for 8 s, and its clock with it")
def agent_paused_with_clock(arena: Arena) -> Survived:
    """It is behind afterwards, and its seconds count all the same."""
    offset, wrap = _jumping(arena)
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET)
    agent = arena.agent("a1", wrap=wrap)
    arena.agent("a2")
    arena.opens(COUNT, lost=0)
    with _paused(_with_workers([agent])):
        time.sleep(8.0)
        offset.write_text("-8\n")
    return _goes_on(arena)


@trial("the coordinator stands still for 12 s while the fleet gathers")
def paused_while_gathering(arena: Arena) -> Survived:
    """The agents are ready afterwards, and the run starts."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=3)
    arena.agent("a1")
    arena.coord.says("1 of 2 ready")
    with _paused([arena.coord.pid]):
        time.sleep(12.0)
    arena.agent("a2")
    summary = arena.ends(0)
    assert summary["opened"] == COUNT, ledger_text(summary)
    return arena.survived(summary)
