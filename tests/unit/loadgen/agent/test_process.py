"""Worker processes as an agent owns them: real forks, pipes and ends."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager, closing, suppress
from hashlib import sha256
from time import monotonic

import pytest
from msgspec.structs import replace

from loadgen.agent.process import WORKER, WorkerProcess
from loadgen.errors import FleetError
from loadgen.forkserver import ForkServer
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import NO_SHARE, Share
from loadgen.stats.tally import Tally
from loadgen.wire import Rehearsal, Report, from_wire
from tests.jobs import job_on
from tests.processes import PATIENCE, children
from tests.unit.wire_ends import until

PLAN = Plan(rate=1000.0, max=20, think=0.1, hold=600.0)
UNDER_WAY = 0.6
"""Seconds that a run is old when its job begins: the report of its first second comes soon."""


@asynccontextmanager
async def forked(count=1, first=0):
    """Warm workers; all have ended after the block."""
    with closing(ForkServer(WORKER)) as server:
        workers = [
            await WorkerProcess.fork(server, number) for number in range(first, first + count)
        ]
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(worker.warm() for worker in workers))
                yield workers
        finally:
            for worker in workers:
                worker.kill()
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(worker.ended for worker in workers))
            for worker in workers:
                worker.close()


def rehearsal_of(source):
    return Rehearsal(
        (
            PythonSession(
                name="chat",
                file="chat.py",
                source=source,
                sha256=sha256(source.encode()).hexdigest(),
            ),
        )
    )


async def total_of(worker):
    """Returns the sum of a worker's seconds.

    Reads its lines to the end of its output.
    """
    total = Tally()
    async for line in worker.reader:
        total.merge(from_wire(line, Report).second.tally)
    return total


async def test_workers_are_numbered_from_the_first_number():
    async with forked(count=2, first=3) as workers:
        assert [(worker.number, worker.name) for worker in workers] == [(3, "3"), (4, "4")]
        assert not any(worker.ended.done() for worker in workers)


async def test_a_worker_without_a_job_ends_with_its_input():
    async with forked() as (worker,):
        worker.end_input()
        worker.send(b"drain\n")  # to one that is about to end does no harm

        assert await worker.ended == 0
        assert await worker.how_it_ended() == "ended with exit code 0"


async def test_a_killed_worker_is_known_by_its_signal_and_leaves_the_others_alone():
    async with forked(count=2) as (killed, other):
        killed.kill()

        assert await killed.ended == -9
        assert await killed.how_it_ended() == "was killed by SIGKILL"
        assert await killed.reader.read() == b""
        killed.kill()
        other.end_input()
        assert await other.ended == 0


async def test_the_last_line_of_standard_error_says_why_a_worker_ended():
    async with forked() as (worker,):
        worker.send(b"no job\n")

        assert (await worker.how_it_ended()).startswith(
            "ended with exit code 1: worker: not a job: "
        )


async def test_workers_that_do_not_start_are_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with closing(ForkServer(WORKER)) as server:
        worker = await WorkerProcess.fork(server, 0)
        with pytest.raises(FleetError, match="worker 0 did not start; it was killed by SIGKILL"):
            await worker.warm()
        worker.close()


async def test_a_worker_imports_a_session_file_and_says_what_that_gives():
    async with forked() as (worker,):
        good = await worker.rehearse(rehearsal_of("print('hi')\nasync def session(user): ...\n"))
        poor = await worker.rehearse(rehearsal_of("import no_such_module\n"))
        bad = await worker.rehearse(rehearsal_of("import json\njson.loads('')\n"))
        worst = await worker.rehearse(rehearsal_of("import os\nos._exit(7)\n"))

    assert (good.problem, good.notes) == ("", ("printed: hi",))
    assert "lacks the library no_such_module, which chat.py:1 imports" in poor.problem
    assert "JSONDecodeError" in bad.problem
    assert "chat.py" in bad.traceback
    assert worst.problem == (
        "a worker ended while it imported the session (it ended with exit code 7)"
    )


async def test_a_worker_does_its_job_and_reports_until_it_is_drained(server):
    async with forked() as (worker,):
        job = job_on(server.port, PLAN, start=monotonic() - UNDER_WAY)
        worker.start(job)
        first = from_wire(await worker.reader.readline(), Report)
        worker.send(b"drain\n")
        total = await total_of(worker)
        total.merge(first.second.tally)

        assert await worker.ended == 0
    assert worker.job is job
    assert worker.held == [Unfinished(Share())]
    assert (total.launched, total.opened, total.closed) == (20, 20, {"drained": 20})


async def test_a_worker_launches_what_it_is_given_later(server):
    """A worker holds what it was given with its job and afterwards.

    All of it can be given again.
    """
    lost = Unfinished(Share(2, (0,)), 0, 10)
    later = Unfinished(Share(2, (1,)), 0, 10)
    async with forked() as (worker,):
        job = job_on(server.port, PLAN, share=NO_SHARE, start=monotonic() - UNDER_WAY)
        worker.start(replace(job, reassignments=(Reassignment(lost, at=0.0, pace=1000.0),)))
        worker.reassign(Reassignment(later, at=0.0, pace=1000.0))
        first = from_wire(await worker.reader.readline(), Report)
        worker.send(b"drain\n")
        total = await total_of(worker)
        total.merge(first.second.tally)

    assert worker.held == [Unfinished(NO_SHARE), lost, later]
    assert total.opened == 20
    assert total.closed == {"drained": 20}


async def test_workers_end_with_their_fork_server():
    before = {*children(os.getpid())}
    async with forked(count=2) as workers:
        (pid,) = {*children(os.getpid())} - before
        os.kill(pid, signal.SIGKILL)

        assert [await worker.ended for worker in workers] == [-9, -9]
        assert [await worker.reader.read() for worker in workers] == [b"", b""]


def held_pipes():
    """Returns how many ends of pipes this process has open."""
    held = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            held += os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:")
    return held


async def test_workers_leave_no_descriptor_behind():
    """An agent serves one run after another."""
    before = held_pipes()
    async with forked(count=2):
        assert held_pipes() >= before + 4

    await until(lambda: held_pipes() == before)
