"""Terminals, pipes and links that take nothing any more."""

import os
import pty
import signal
import time
from contextlib import suppress

from tests.faults.fault import statuses
from tests.hostile.arena import COUNT, FLEET, Arena, Survived
from tests.hostile.trial import trial
from tests.processes import eventually

STOPPED = 15.0
"""Seconds for which a terminal is stopped: longer than an agent's --orphan-after in these."""
PATIENT = ("--orphan-after", "10")
TALKATIVE = """
async def session(user):
    ws = await user.connect()
    while True:
        user.remark(f"user {user.number} has much to say: " + "x" * 300)
        await user.think(0.2)
"""
"""A session that fills the log of its agent."""


def stays(arena: Arena, seconds: float) -> None:
    """Fails when the target misses one of the connections meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert arena.stats()["open"] == COUNT, f"the target has {arena.stats()}"
        time.sleep(0.5)


def answers(arena: Arena) -> bool:
    """True once the coordinator answers."""
    try:
        return arena.ask("/healthz", timeout=2.0)[0] == 200
    except OSError:
        return False


@trial("the coordinator's terminal is stopped (Ctrl-S) for 15 s")
def terminal_stopped(arena: Arena) -> Survived:
    """The pty's other side reads nothing, as a terminal after Ctrl-S."""
    master, slave = pty.openpty()
    try:
        arena.target()
        arena.coordinator(count=COUNT, agents=FLEET, stdout=slave, stderr=slave)
        eventually(lambda: os.read(master, 65536), "it draws")
        arena.fleet(FLEET, *PATIENT)
        eventually(lambda: os.read(master, 65536) and arena.stats()["open"] == COUNT, "all open")
        arena.opens(COUNT, lost=0)
        with arena.measured():
            stays(arena, STOPPED)
        assert "lost" not in statuses(arena)
        arena.coord.send(signal.SIGINT)
        os.set_blocking(master, False)

        def ended() -> bool:
            with suppress(OSError):
                os.read(master, 65536)
            return arena.coord.process.poll() is not None

        eventually(ended, "the coordinator ends")
        return arena.survived(arena.ends(130))
    finally:
        os.close(master)
        os.close(slave)


@trial("standard output is a pipe that nobody reads", small=True)
def pipe_never_read(arena: Arena) -> Survived:
    """At the end the report waits for a reader only for a bounded time."""
    reader, writer = os.pipe()
    try:
        _fill(writer)
        arena.target()
        line = ("--json", "--expect", f"opened>={COUNT}")
        arena.coordinator(*line, count=COUNT, agents=FLEET, hold=6, stdout=writer, stderr=writer)
        eventually(lambda: answers(arena), "it answers")
        arena.fleet(FLEET, *PATIENT)
        return arena.survived(arena.ends(0))
    finally:
        os.close(reader)
        os.close(writer)


def _fill(descriptor: int) -> None:
    """Writes to a pipe until it is full."""
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"before\n" * 500)
    except BlockingIOError:
        pass
    try:
        while True:
            os.write(descriptor, b"\n")
    except BlockingIOError:
        os.set_blocking(descriptor, True)


@trial("the logs of the agents go into pipes that nobody reads, 1,000 lines a second")
def agents_log_never_read(arena: Arena) -> Survived:
    """Sessions remark something five times a second."""
    session = arena.folder / "talkative.py"
    session.write_text(TALKATIVE)
    pipes = [os.pipe() for _ in range(FLEET)]
    try:
        arena.target()
        arena.coordinator("--session", str(session), count=COUNT, agents=FLEET)
        for number, (_, writer) in enumerate(pipes, 1):
            arena.agent(f"a{number}", "--allow-sessions", stdout=writer, stderr=writer)
        arena.opens(COUNT, lost=0)
        for _, writer in pipes:
            _fill(writer)
        with arena.measured():
            stays(arena, 12.0)
        assert set(statuses(arena)) == {"running"}, statuses(arena)
        return arena.drains_well()
    finally:
        for descriptor in sum(pipes, ()):
            os.close(descriptor)


@trial("the reader of standard output goes away (| head -1)")
def reader_gone(arena: Arena) -> Survived:
    """The pipe is broken; the run directory has everything."""
    reader, writer = os.pipe()
    arena.target()
    arena.coordinator(count=COUNT, agents=FLEET, hold=4, stdout=writer)
    os.close(writer)
    assert b"agents join at" in os.read(reader, 65536)
    os.close(reader)
    arena.fleet()
    return arena.survived(arena.ends(0))


def _one_way(arena: Arena, sender: str, receiver: str) -> Survived:
    """Returns the outcome after nothing came from one host to another one for 8 s."""
    arena.opened()
    hosts = (arena.lan.host(sender), arena.lan.host(receiver))
    arena.mark_fault()
    hosts[0].misdirect("control", hosts[1])
    try:
        stays(arena, 8.0)
    finally:
        hosts[0].redirect("control", hosts[1])
    arena.all_run()
    assert arena.ledger()["lost"] == 0, arena.coord.err
    return arena.drains_well()


@trial("for 8 s no reply of the coordinator reaches one agent of two")
def replies_lost(arena: Arena) -> Survived:
    """TCP repeats them ever more rarely; the agent asks on a new connection."""
    return _one_way(arena, "coord", "a2")


@trial("for 8 s no post of one agent of two reaches the coordinator")
def posts_lost(arena: Arena) -> Survived:
    """TCP repeats them ever more rarely; the agent asks on a new connection."""
    return _one_way(arena, "a2", "coord")


@trial("the link of agent a1 to the coordinator loses 30 % of the packets for 10 s")
def packets_lost(arena: Arena) -> Survived:
    """It is repeated by TCP; silence is shorter than what makes an agent lost."""
    arena.opened()
    arena.lan.host("a1").loses("control", 30)
    try:
        stays(arena, 10.0)
        assert arena.ledger()["lost"] == 0, arena.coord.err
    finally:
        arena.lan.host("a1").loses("control", 0)
    return arena.drains_well()
