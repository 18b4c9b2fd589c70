"""Sessions that do what ends at most their own user."""

import json
import os
import signal

from tests.faults.fault import ledger_text, target_text
from tests.hostile.arena import COUNT, FLEET, Arena, Survived, workers_of
from tests.hostile.trial import trial
from tests.processes import children, eventually

BEGIN = """
async def session(user):
    ws = await user.connect()
    await user.think(0.5)
    kind = user.number % {kinds}
"""
STRANGE_NUMBERS = (
    BEGIN.format(kinds=6)
    + """
    if kind == 0:
        user.count("n", -5)
    elif kind == 1:
        user.count("n", float("nan"))
    elif kind == 2:
        user.took("t", float("inf"))
    elif kind == 3:
        user.count("n", 10**40)
    elif kind == 4:
        await user.think(float("nan"))
    await user.think(600)
"""
)
MUCH = (
    BEGIN.format(kinds=5)
    + """
    much = "m" * 3_000_000
    if kind == 0:
        user.remark(much)
    elif kind == 1:
        await ws.close(ledger=much)
    elif kind == 2:
        raise type("E" * 3_000_000, (Exception,), {})(much)
    elif kind == 3:
        await ws.close(ledger=["not", "hashable"])
    await user.think(600)
"""
)
ABORTS = (
    BEGIN.format(kinds=1)
    + """
    if user.number == 7:
        user.abort_run("too much " + "a" * 3_000_000 + "\\ud800")
    await user.think(600)
"""
)
KILLS = (
    BEGIN.format(kinds=1)
    + """
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
)


def _plays(arena: Arena, text: str, *options: str, hold: float = 3, code: int = 0) -> dict:
    """Returns the summary of a run of two agents with two workers each."""
    session = arena.folder / "bad.py"
    session.write_text(text)
    arena.target()
    arena.coordinator("--session", str(session), *options, count=COUNT, agents=FLEET, hold=hold)
    arena.fleet(FLEET, "--allow-sessions", "--workers", "2")
    return arena.ends(code)


@trial("sessions count by -5, by no number, by 10^40, take infinite times", small=True)
def strange_numbers(arena: Arena) -> Survived:
    """Each ends its own user, as an error with its name."""
    summary = _plays(arena, STRANGE_NUMBERS)
    assert (summary["opened"], summary["lost"]) == (COUNT, 0), ledger_text(summary)
    assert any(reason.startswith("error_") for reason in summary["closed"]), ledger_text(summary)
    return arena.survived(summary)


@trial("sessions remark, raise and give as reasons 3 MB each, and reasons that are no texts")
def megabytes(arena: Arena) -> Survived:
    """The part of a text that is kept is bounded."""
    summary = _plays(arena, MUCH)
    assert (summary["opened"], summary["lost"]) == (COUNT, 0), ledger_text(summary)
    result = arena.survived(summary)
    size = sum(path.stat().st_size for path in arena.run.rglob("*") if path.is_file())
    assert size < 5 << 20, f"the run directory has {size >> 20} MiB"
    shown = ", ".join(f"{reason[:20]} {n}" for reason, n in summary["closed"].items())
    return result._replace(ledger=f"opened {summary['opened']}, {shown}")


@trial("a session ends the run with a reason of 3 MB", small=True)
def abort_of_megabytes(arena: Arena) -> Survived:
    """The run drains, and says a part of the reason."""
    session = arena.folder / "aborts.py"
    session.write_text(ABORTS)
    arena.target()
    arena.coordinator("--session", str(session), count=COUNT, agents=FLEET)
    arena.fleet(FLEET, "--allow-sessions")
    code = arena.coord.end()
    summary = json.loads((arena.run / "summary.json").read_text())
    assert summary["verdict"] != "pass", ledger_text(summary)
    assert len(arena.coord.err) < 100_000, len(arena.coord.err)
    result = arena.survived(summary)
    return result._replace(ledger=f"verdict {summary['verdict']}, exit {code}; {result.ledger}")


@trial("each session kills its worker, until no other one is started")
def sessions_kill_workers(arena: Arena) -> Survived:
    """A run that launched less than was asked is no pass."""
    session = arena.folder / "kills.py"
    session.write_text(KILLS)
    arena.target()
    options = ("--session", str(session), "--on-loss", "continue")
    arena.coordinator(*options, count=64, agents=1, hold=3)
    arena.agent("a1", "--allow-sessions", "--workers", "2")
    code = arena.coord.end(60.0)
    summary = json.loads((arena.run / "summary.json").read_text())
    assert summary["verdict"] != "pass", (
        f"verdict {summary['verdict']}, exit code {code}: {ledger_text(summary)}"
    )
    eventually(lambda: arena.stats()["open"] == 0, "the target is empty")
    arena.keeps_silent()
    # Each worker dies before the end of its first second, and takes the counts of that along.
    return Survived(
        f"verdict {summary['verdict']}, exit {code}; {ledger_text(summary)}", target_text(arena)
    )


@trial("SIGKILL to a worker in the middle of a second")
def worker_killed_before_its_line(arena: Arena) -> Survived:
    """The seconds that it never reported are marked with its name."""
    (agent, _) = arena.opened(each=("--workers", "2"))
    arena.mark_fault()
    (server,) = children(agent.pid)
    assert len(workers_of(agent)) == 2
    os.kill(children(server)[1], signal.SIGKILL)
    noticed = arena.says("worker 1 is gone", agent)
    lost = COUNT // 4
    arena.opens(COUNT, lost=lost)
    summary = arena.drains()
    assert (summary["lost"], summary["relaunched"]) == (lost, lost), ledger_text(summary)
    marked = [why for second in summary["invalid_seconds"] for why in second["why"]]
    assert any("worker 1" in why for why in marked), f"marked: {marked}"
    return arena.survived(summary, noticed)
