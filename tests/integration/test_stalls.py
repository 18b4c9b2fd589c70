"""Seconds in which a worker stood still are marked with its name, no others."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tests.processes import Coordinator, agent, coordinator, eventually, every_core_busy, target

SLEEPY = """\
import time

async def session(user):
    await user.connect()
    await user.think(2.0)
    if user.number == 3:
        time.sleep(0.4)
    await user.think(3.0)
"""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stops a process as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def standstills(coord: Coordinator, worker: str) -> dict[int, str]:
    """Returns what the seconds of a run say about a worker that stood still."""
    return {
        row["second"]: why
        for row in coord.rows()
        for why in row["invalid"]
        if why.startswith(worker)
    }


def test_exactly_the_seconds_in_which_one_worker_of_four_was_stopped_are_marked(tmp_path):
    """The stop begins and ends within a second, and covers two and a half."""
    load = ("--max", "80", "--rate", "200", "--think", "0.5", "--hold", "9", "--agents", "1")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *load) as coord,
        agent(coord.url, "--workers", "4", "--name", "a1") as loading,
    ):

        def over() -> int:
            return len(coord.rows())

        eventually(lambda: over() >= 3, "all are open")
        number, pid = 2, sorted(loading.workers())[2]
        with stopped(pid):
            begin = monotonic()
            threading.Event().wait(2.5)
            length = monotonic() - begin
        assert coord.end() == 0, coord.err
        charged = standstills(coord, f"worker {number} of agent a1 stood still")
        summary = coord.summary()

    assert list(charged) == list(range(min(charged), max(charged) + 1))
    assert len(charged) in (3, 4)
    still = sum(float(why.split()[-2]) for why in charged.values())
    assert abs(still - length) < 0.5
    marked = {second["second"] for second in summary["invalid_seconds"]}
    assert marked >= charged.keys()


def test_seconds_in_which_no_core_was_idle_are_saturated(tmp_path):
    load = ("--max", "40", "--rate", "200", "--think", "0.5", "--hold", "8", "--agents", "2")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path, server.ws, *load) as coord,
        agent(coord.url, "--name", "a1"),
        agent(coord.url, "--name", "a2"),
    ):
        eventually(lambda: len(coord.rows()) >= 2, "all are open")
        with every_core_busy():
            eventually(lambda: len(coord.rows()) >= 6, "four seconds more")
        assert coord.end() == 0, coord.err
        rows, summary = coord.rows(), coord.summary()
        assert "prove no latency of the server" in coord.out

    saturated = {row["second"] for row in rows if "no core was idle" in str(row["saturated"])}
    assert saturated & {3, 4}
    assert saturated <= {second["second"] for second in summary["saturated_seconds"]}
    hosts = [
        part["host"]
        for second in saturated
        for part in rows[second]["agents"].values()
        if "host" in part  # an agent that was starved did not look at every second
    ]
    assert hosts
    assert all(min(host["busy"]) >= 97 for host in hosts)
    (host,) = summary["hosts"]
    assert sorted(host["agents"]) == ["a1", "a2"]
    assert (host["cores"], host["idlest"] >= 97) == (len(os.sched_getaffinity(0)), True)
    assert host["switches"] > 0


def test_a_session_that_blocks_marks_its_second(tmp_path):
    session = tmp_path / "sleepy.py"
    session.write_text(SLEEPY)
    load = ("--max", "20", "--rate", "100", "--hold", "sessions", "--agents", "1")
    with (
        target("--workers", "1") as server,
        coordinator(tmp_path / "runs", server.ws, *load, "--session", str(session)) as coord,
        agent(coord.url, "--allow-sessions", "--name", "a1"),
    ):
        assert coord.end() == 0, coord.err
        charged = standstills(coord, "worker 0 of agent a1 stood still")

    assert charged.keys() & {1, 2, 3}
