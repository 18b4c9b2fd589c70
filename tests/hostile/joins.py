"""Agents that join and do nothing, and agents that promise too much."""

import json
import time

from loadgen.machine.limits import Limit
from loadgen.wire import WIRE, Hello, Post, to_wire
from tests.faults.fault import ledger_text, statuses
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.liar import Liar
from tests.hostile.trial import trial
from tests.processes import eventually

DEAD = 1000
"""Dead joins: as many as agents may join."""


def _answer(arena: Arena, hello: bytes) -> int:
    """Returns the status of the answer to a join; 429 where the connection closes."""
    try:
        return arena.ask("/v1/agents", hello)[0]
    except ConnectionError:
        return 429


@trial("1,000 agents join and never post; then the real ones come")
def dead_joins(arena: Arena) -> Survived:
    """Their places expire within seconds."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=3)
    joined = 0
    deadline = time.monotonic() + 40
    while joined < DEAD and time.monotonic() < deadline:
        hello = to_wire(Hello(f"dead{joined}", WIRE, "1", 10, (), {}))
        status, _ = arena.ask("/v1/agents", hello)
        joined += status == 200
        if status == 409:
            break  # the run is full
        time.sleep(0.02 if status == 200 else 0.2)
    arena.mark_fault()
    arena.fleet()
    noticed = arena.within(
        lambda: arena.stats()["open"] == COUNT, lambda: f"{arena.stats()} {arena.coord.err}", 30.0
    )
    summary = arena.ends(0)
    result = arena.survived(summary, noticed)
    return result._replace(ledger=f"{result.ledger}, after {joined} dead joins")


@trial("an agent joins with a capacity of 2^53, is ready, and opens nothing")
def giant_capacity(arena: Arena) -> Survived:
    """A capacity is bounded by what ports and memory can hold."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET)
    liar = Liar(arena, "giant", 2**53)
    limit = Limit("source_ports", 2**53, "all", "none")
    liar.post(Post(ready=True, max_connections=2**53, limits=(limit,)))
    arena.agent("a1")
    arena.says("running")
    real = [one for one in arena.state()["agents"] if one["name"] == "a1"]
    share = real[0]["ledger"]["planned"]
    assert share >= COUNT // 20, f"the real agent has {share} of {COUNT}"
    arena.mark_fault()
    noticed = arena.says("agent giant is lost")
    arena.opens(COUNT)
    summary = arena.drains()
    assert summary["opened"] == COUNT, ledger_text(summary)
    return arena.survived(summary, noticed)


@trial("the token's holder posts 1 MB each to ids that no agent has, 200 times", small=True)
def posts_to_nobody(arena: Arena) -> Survived:
    """Nothing is recorded before it is accepted."""
    arena.opened()
    journal = arena.run / "journal.ndjson"
    before = journal.stat().st_size
    post = to_wire(Post(notes=("n" * 1_000_000,)))
    found = {arena.ask(f"/v1/agents/none-{number}.x/seconds", post)[0] for number in range(200)}
    assert found <= {404, 429}, found
    grown = journal.stat().st_size - before
    assert grown < 1 << 20, f"the journal grew by {grown:,} bytes"
    return arena.drains_well()


@trial("agents ask to join a run that takes none, 300 times, with 100 kB of facts", small=True)
def refused_joins(arena: Arena) -> Survived:
    """A refused join is not recorded."""
    arena.opened("--on-loss", "continue")
    journal = arena.run / "journal.ndjson"
    before = journal.stat().st_size
    answers = []
    for wire in (WIRE - 1, WIRE) * 150:
        hello = Hello("late", wire, "9" * 1000, 10, (), {"fact": "f" * 100_000})
        answers.append(_answer(arena, to_wire(hello)))
    assert {*answers} <= {409, 426, 429}, {*answers}
    grown = journal.stat().st_size - before
    assert grown < 2 << 20, f"the journal grew by {grown:,} bytes"
    return arena.drains_well()


@trial("an agent joins, posts that it is ready, and refuses in turn, 20 times a second")
def changes_its_mind(arena: Arena) -> Survived:
    """The run starts with the agents that are ready."""
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=4)
    liar = Liar(arena, "fickle")
    for number in range(60):
        status, orders = liar.post(Post(ready=number % 2 == 0, refusal="no" * (number % 2)))
        assert status == 200, orders
        time.sleep(0.05)
    assert liar.post(Post(refusal="no, after all"))[0] == 200
    arena.fleet()
    summary = arena.ends(0)
    assert summary["opened"] == COUNT, ledger_text(summary)
    return arena.survived(summary)


@trial("a holder of the token joins as fast as it can for 5 s")
def joins_without_end(arena: Arena) -> Survived:
    """The bound on joins leaves the fleet alone."""
    arena.opened()
    with arena.measured():
        hello = to_wire(Hello("again", WIRE, "1", 10, (), {}))
        deadline = time.monotonic() + 5.0
        found = []
        while time.monotonic() < deadline:
            found.append(_answer(arena, hello))
        assert {*found} <= {200, 409, 429}, {*found}
    assert statuses(arena)[:FLEET] == ["running"] * FLEET, statuses(arena)
    size = len(json.dumps(arena.state()))
    eventually(lambda: arena.stats()["open"] == COUNT, "all are open")
    assert size < 5 << 20, size
    return arena.drains_well()
