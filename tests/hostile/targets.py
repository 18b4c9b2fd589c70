"""Targets that flood, never read, or send what is no text."""

import time

from tests.faults.fault import ledger_text
from tests.hostile.arena import Arena, Survived, most_memory, workers_of
from tests.hostile.trial import trial
from tests.processes import eventually

MEMORY = 300 << 20
"""The bytes that a worker may take in these, far below what an unbounded queue takes."""
PASSES_ON = """
import json

async def session(user):
    ws = await user.connect()
    reason = json.loads(await ws.receive(timeout=10))["reason"]
    user.count(reason)
    user.remark(reason)
    await user.think(0.5)
    if user.number % 2:
        await ws.close(1000, reason)
    else:
        await ws.close(ledger=reason)
"""
SENDS = """
async def session(user):
    ws = await user.connect()
    while True:
        await ws.send("x" * 10_000)
"""
IGNORES = """
async def session(user):
    ws = await user.connect()
    await user.think(600)
"""


def _bounded(arena: Arena, seconds: float, *options: str, count: int) -> Survived:
    """Returns the outcome of a run in which the memory of a worker is bounded."""
    arena.coordinator(*options, count=count, agents=1, hold=seconds)
    agent = arena.agent("a1", "--allow-sessions")
    eventually(lambda: arena.stats()["opened"] == count, lambda: f"{arena.stats()}")
    (worker,) = workers_of(agent)
    with arena.measured():
        time.sleep(seconds * 0.75)
    memory = most_memory(worker)
    assert memory < MEMORY, f"the worker had {memory >> 20} MiB"
    summary = arena.ends(0)
    result = arena.survived(summary)
    return result._replace(ledger=f"{result.ledger}; the worker had {memory >> 20} MiB at most")


@trial("50 connections get PINGs without an end; no PONG is read")
def pings_without_end(arena: Arena) -> Survived:
    """The bytes that wait for the kernel are bounded."""
    arena.hostile_target("pings")
    return _bounded(arena, 15.0, count=50)


@trial("sessions send without an end to a target that reads nothing")
def reads_nothing(arena: Arena) -> Survived:
    """A session waits for the target."""
    arena.hostile_target("deaf")
    session = arena.folder / "sends.py"
    session.write_text(SENDS)
    return _bounded(arena, 10.0, "--session", str(session), count=50)


@trial("10 connections get texts without an end, which their sessions do not receive")
def texts_without_end(arena: Arena) -> Survived:
    """16 MiB of each are kept, and the rest waits at the server."""
    arena.hostile_target("texts")
    session = arena.folder / "ignores.py"
    session.write_text(IGNORES)
    return _bounded(arena, 10.0, "--session", str(session), count=10)


@trial("a target sends half a character in JSON, which sessions pass on everywhere", small=True)
def half_characters(arena: Arena) -> Survived:
    """It ends its own user at most."""
    arena.hostile_target("surrogates")
    session = arena.folder / "passes_on.py"
    session.write_text(PASSES_ON)
    arena.coordinator("--session", str(session), count=60, agents=2, hold=4)
    arena.fleet(2, "--allow-sessions")
    summary = arena.ends(0)
    assert (summary["opened"], summary["lost"]) == (60, 0), ledger_text(summary)
    return arena.survived(summary)


@trial("a target answers handshakes with headers without an end", small=True)
def head_without_end(arena: Arena) -> Survived:
    """The head is bounded, and its connection fails with that reason."""
    arena.hostile_target("endless_head")
    arena.coordinator(count=50, agents=1, hold=2)
    arena.agent("a1")
    summary = arena.ends(0)
    assert summary["failed"] == {"head_too_large": 50}, ledger_text(summary)
    return arena.survived(summary)
