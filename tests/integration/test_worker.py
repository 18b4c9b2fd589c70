"""One worker process, driven over its pipes, against a real target."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest

from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.stats.ledger import Ledger
from loadgen.stats.tally import Tally
from loadgen.wire import Report, from_wire, to_wire
from tests.jobs import job_on
from tests.processes import PATIENCE, Address, eventually

CONNECTIONS = 200


def job(server: Address, **changes) -> bytes:
    """Returns a line with the job of a small load."""
    plan = Plan(**{"rate": 1000.0, "max": CONNECTIONS, "think": 0.3, "hold": 600.0} | changes)
    return to_wire(job_on(server.port, plan, start=monotonic() + 0.2))


@contextmanager
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that is ready for its job; killed afterwards if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "loadgen.worker.main"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as running:
        try:
            assert int(running.stdout.readline()) == running.pid
            yield running
        finally:
            running.kill()


def reports(running) -> Iterator[Report]:
    """Yields its lines as they come, to the end of its output."""
    for line in running.stdout:
        yield from_wire(line, Report)


def total_of(found: list[Report]) -> Tally:
    """Returns the tally of all its seconds, merged."""
    total = Tally()
    for report in found:
        total.merge(report.second.tally)
    return total


def empty(server: Address) -> dict:
    """Returns the target's ledger once nothing is open."""
    return eventually(
        lambda: (stats := server.stats())["open"] == 0 and stats, lambda: f"empty: {server.stats()}"
    )


def test_a_drain_line_ends_it_in_good_order_and_every_second_adds_up(server):
    before = empty(server)
    found = []
    asked = False
    with worker() as running:
        running.stdin.write(job(server) + b"\n")
        for report in reports(running):
            found.append(report)
            held = report.second.held
            ledger = Ledger.of(CONNECTIONS, total_of(found))
            assert ledger.breaches(held) == []
            if (
                not asked
                and held.open == CONNECTIONS
                and ledger.opened == CONNECTIONS
                and report.second.number >= 1
            ):
                asked = True
                running.stdin.write(b"drain\n")
        assert running.wait(PATIENCE) == 0
        assert running.stderr.read() == b""
    after = empty(server)
    total = total_of(found)

    assert [report.second.number for report in found] == list(range(len(found)))
    assert [report.finished for report in found] == [False] * (len(found) - 1) + [True]
    assert (total.launched, total.opened, total.closed) == (
        CONNECTIONS,
        CONNECTIONS,
        {"drained": CONNECTIONS},
    )
    assert total.pings == total.pongs > 0
    changed = {
        name: after[name] - before[name] for name in ("opened", "closed", "pings", "messages")
    }
    assert (changed["opened"], changed["closed"], changed["pings"]) == (
        total.opened,
        CONNECTIONS,
        total.pings,
    )
    assert changed["messages"] == total.messages_received == 0
    assert total.handshake.total == CONNECTIONS
    assert total.ping_rtt.total == total.pongs
    assert found[-1].second.cpu_s >= found[0].second.cpu_s > 0
    assert all(report.second.rss > 1 << 20 for report in found)


def test_a_worker_ends_once_all_sessions_are_done(server):
    before = empty(server)
    with worker() as running:
        running.stdin.write(job(server, loops=2, think=0.1) + b"\n")
        found = list(reports(running))
        assert running.wait(PATIENCE) == 0
    after = empty(server)
    total = total_of(found)
    assert found[-1].finished
    assert total.closed == {"done": CONNECTIONS}
    assert total.pings == after["pings"] - before["pings"] == 2 * CONNECTIONS


def test_users_behind_a_gate_arrive_when_it_opens(server):
    """It reports each second that it waits; an order may come in pieces, or again."""
    half = Phase(rate=1000.0, max=CONNECTIONS // 2, wait=True)
    before = empty(server)
    found = []
    opening = 0
    with worker() as running:
        running.stdin.write(job(server, phases=(half, half), loops=1, think=0.1) + b"\n")
        for report in reports(running):
            found.append(report)
            if report.gate == 1 and not opening:
                opening = report.second.number + 3
                assert total_of(found).closed == {"done": CONNECTIONS // 2}
                opens = b"gate 1 %d\n" % opening
                for piece in (opens[:3], opens[3:] + opens):
                    running.stdin.write(piece)
        assert running.wait(PATIENCE) == 0
    total = total_of(found)

    assert (found[-1].gate, found[-1].finished) == (0, True)
    assert (total.opened, total.closed) == (CONNECTIONS, {"done": CONNECTIONS})
    assert total_of(found[:opening]).launched == CONNECTIONS // 2
    assert empty(server)["opened"] - before["opened"] == CONNECTIONS


def test_a_drain_waits_at_no_gate(server):
    half = Phase(rate=1000.0, max=CONNECTIONS // 2, wait=True)
    with worker() as running:
        running.stdin.write(job(server, phases=(half, half), loops=1, think=0.1) + b"\n")
        for report in reports(running):
            if report.gate == 1:
                running.stdin.write(b"drain\n")
        assert running.wait(PATIENCE) == 0
        assert report.finished


def test_a_worker_ends_with_its_input(server):
    """The owner of the pipe owns the load; everything is closed without an order."""
    empty(server)
    with worker() as running:
        running.stdin.write(job(server) + b"\n")
        eventually(lambda: server.stats()["open"] == CONNECTIONS, "all are open")
        running.stdin.close()
        assert running.wait(PATIENCE) == 0
        empty(server)
        assert running.stderr.read() == b""


def test_a_worker_without_a_job_ends_quietly():
    with worker() as running:
        running.stdin.close()
        assert (running.wait(PATIENCE), running.stdout.read(), running.stderr.read()) == (
            0,
            b"",
            b"",
        )


@pytest.mark.parametrize(
    "line", [b"garbage", b"{}", b'{"plan": {"rate": -1}}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_line_that_is_no_job_is_one_message_and_a_failure(line):
    with worker() as running:
        running.stdin.write(line + b"\n")
        code = running.wait(PATIENCE)
        (complaint,) = running.stderr.read().decode().splitlines()
    assert code not in (0, None)
    assert complaint.startswith("worker: not a job: ")


def test_a_job_of_another_shape_names_the_field(server):
    wrong = json.loads(job(server)) | {"most_open": "many"}
    with worker() as running:
        running.stdin.write(json.dumps(wrong).encode() + b"\n")
        assert running.wait(PATIENCE) == 1
        assert b"$.most_open" in running.stderr.read()
