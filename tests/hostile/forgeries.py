"""Posts in the name of others, and posts that can't be true."""

import time

from loadgen.stats.fanin import Second
from loadgen.stats.ledger import Held
from loadgen.stats.tally import Tally
from loadgen.wire import Post, to_wire
from tests.faults.fault import ledger_text, statuses, target_text
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.liar import Liar
from tests.hostile.trial import trial
from tests.processes import eventually

END = to_wire(
    Post((Second(2, Tally(launched=COUNT, opened=COUNT, closed={"done": COUNT})),), finished=True)
)
"""The last post of an agent that has opened and closed everything."""


@trial("posts for the agents by their ids, which can be guessed, with the token", small=True)
def posts_for_others(arena: Arena) -> Survived:
    """An agent's posts need its secret."""
    arena.opened()
    key = arena.state()["key"]
    guesses = [f"{key}-{number}{end}" for number in range(FLEET) for end in ("", ".", ".x")]
    found = {arena.ask(f"/v1/agents/{guess}/seconds", END)[0] for guess in guesses}
    assert found == {404}, found
    time.sleep(2.0)
    assert statuses(arena) == ["running"] * FLEET, statuses(arena)
    return arena.drains_well()


@trial("a holder of the token asks for the rows and orders of agents that it guesses")
def asks_for_others(arena: Arena) -> Survived:
    """A feeder's rows go to authentic agents."""
    rows = arena.folder / "users.csv"
    rows.write_text("name,word\n" + "".join(f"u{n},planted-{n}-word\n" for n in range(COUNT)))
    arena.opened("--feeder", str(rows))
    key = arena.state()["key"]
    for number in range(FLEET):
        path = f"/v1/agents/{key}-{number}.x/feeders/users"
        status, body = arena.ask(path, b"{}")
        assert (status, b"planted" in body) == (404, False), (status, body[:200])
    summary = arena.drains()
    return arena.survived(summary, None, "planted-7-word")


def _lied(arena: Arena, tally: Tally, held: Held, code: int) -> Survived:
    """Returns the outcome of a run in which one agent of two tells lies of its share."""
    arena.target()
    arena.coordinator("--expect", "opened>=1", count=COUNT, agents=FLEET, hold=3)
    arena.agent("a1")
    liar = Liar(arena)
    liar.gets_share(COUNT)
    time.sleep(2.0)
    first = Second(0, tally, held)
    status, answer = liar.post(Post((first,)))
    deadline = time.monotonic() + 20
    second = 1
    while time.monotonic() < deadline and arena.coord.process.poll() is None:
        time.sleep(1.0)
        try:
            orders = liar.post(Post((Second(second),)))[1]
        except OSError:
            break
        second += 1
        if orders.get("do") in ("drain", "stop"):
            liar.post(Post((Second(second),), finished=True))
            break
    summary = arena.ends(code)
    assert summary["verdict"] != "pass", f"the run passed: {ledger_text(summary)}"
    eventually(lambda: arena.stats()["open"] == 0, "the target is empty")
    arena.keeps_silent()
    said = f"verdict {summary['verdict']}, {ledger_text(summary)}"
    if status != 200:
        said += f"; the post was refused: {answer['error'][:80]}"
    return Survived(said, target_text(arena))


@trial("one agent of two reports ten times the connections of its share", small=True)
def opens_too_much(arena: Arena) -> Survived:
    """A count that does not fit a share makes the run no pass."""
    many = 10 * COUNT
    return _lied(arena, Tally(launched=many, opened=many, closed={"done": many}), Held(), 1)


@trial("one agent of two reports more closed than opened connections")
def closes_too_much(arena: Arena) -> Survived:
    """A ledger that does not add up is no pass."""
    return _lied(
        arena, Tally(launched=COUNT // 2, opened=COUNT // 2, closed={"done": COUNT}), Held(), 1
    )


@trial("one agent of two reports that all were opened, and ends with them open", small=True)
def never_closes(arena: Arena) -> Survived:
    """Connections that were never closed are in no state at the end."""
    return _lied(arena, Tally(launched=COUNT // 2, opened=COUNT // 2), Held(), 1)
