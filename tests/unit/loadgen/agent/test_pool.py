"""The workers of one agent: real processes on a real target, read into one FanIn."""

import re
from contextlib import asynccontextmanager, closing
from time import monotonic

import pytest
from msgspec.structs import replace

from loadgen.agent.jobs import numbered
from loadgen.agent.orders import Gate
from loadgen.agent.pool import (
    ANSWER_TIME,
    CRASHED_WORKER,
    HANG_TIMEOUT,
    HUNG_WORKER,
    SESSION_FILE,
    WorkerPool,
)
from loadgen.agent.process import WORKER
from loadgen.forkserver import ForkServer
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.session_file import digest
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange
from loadgen.plan.transport import Transport
from tests.jobs import job_on
from tests.processes import PATIENCE
from tests.unit.wire_ends import until

HELD = Plan(rate=1000.0, max=20, think=0.1, hold=600.0)
"""A load that lasts until something ends it."""
BRIEF = Plan(rate=1000.0, max=20, think=0.05, loops=1, hold=600.0)
"""A load of sessions that end by themselves."""
UNDER_WAY = 0.6
"""Seconds that a run is old when its jobs begin: the report of its first second comes soon."""


@asynccontextmanager
async def pool_of(*jobs, relaunch_rate=0.0):
    """A pool under way on some jobs; all its workers have ended after the block."""
    with closing(ForkServer(WORKER)) as fork_server:
        pool = WorkerPool(fork_server)
        try:
            if jobs:
                await pool.run(list(jobs), relaunch_rate)
            yield pool
        finally:
            await pool.stop()


def jobs_on(port, plan, count=1):
    """Returns the jobs of workers that together have the whole plan."""
    start = monotonic() - UNDER_WAY
    return [job_on(port, plan, share=share, start=start) for share in Share().split([1] * count)]


async def opened(pool, count):
    """Waits until the workers have reported this many opened connections in all."""
    await until(lambda: pool.fanin.total.opened == count, PATIENCE)


async def over(pool):
    """Waits until every worker that had a job is gone.

    Returns the sum of their counts.
    """
    await until(lambda: pool.finished, PATIENCE)
    return pool.fanin.total


async def test_the_seconds_of_all_workers_add_up_to_the_plan(server):
    async with pool_of(*jobs_on(server.port, BRIEF, count=2)) as pool:
        total = await over(pool)
        seconds = pool.settled()

        assert (total.launched, total.opened, total.closed) == (20, 20, {"done": 20})
        assert [second.number for second in seconds] == list(range(len(seconds)))
        assert sum(second.tally.opened for second in seconds) == 20
        assert pool.settled() == []
        assert pool.notes == []
        assert [vitals.cpu_s > 0 for vitals in pool.vitals()] == [True, True]


async def test_warm_workers_without_a_job_exit_when_the_others_get_theirs(server):
    async with pool_of() as pool:
        await pool.warm(2)
        await pool.warm(1)  # there are two already
        await pool.run(jobs_on(server.port, BRIEF))
        total = await over(pool)

        assert total.closed == {"done": 20}
        assert [worker.number for worker in pool.employed] == [0]


async def test_an_abort_ends_all_connections_and_the_last_second_is_reported(server):
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        await opened(pool, 20)
        pool.abort()
        total = await over(pool)

        assert (sum(total.closed.values()), total.lost) == (20, 0)


async def test_a_stop_ends_workers_that_still_hold_connections(server):
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        await opened(pool, 20)

    assert pool.finished
    assert all(worker.ended.done() for worker in pool.employed)


async def test_the_connections_of_a_dead_worker_are_lost_and_it_is_not_replaced_unless_asked(
    server,
):
    async with pool_of(*jobs_on(server.port, HELD, count=2)) as pool:
        await opened(pool, 20)
        pool.employed[0].kill()
        await until(lambda: bool(pool.notes))

        assert pool.notes == [
            "worker 0 is gone (it was killed by SIGKILL): 10 open connections are lost"
        ]
        assert pool.fanin.total.lost == 10
        lost_in = pool.fanin.sources["0"].last.number
        await until(lambda: pool.fanin.sources["1"].last.number >= lost_in, PATIENCE)
        (second,) = (second for second in pool.settled() if second.number == lost_in)
        assert second.delays.unreported == (0,)
        assert not pool.finished
        assert len(pool.employed) == 2, "it is not replaced unless the run says so"


async def test_another_worker_launches_again_what_a_dead_one_held(server):
    async with pool_of(*jobs_on(server.port, HELD), relaunch_rate=1000.0) as pool:
        await opened(pool, 20)
        pool.employed[0].kill()
        await opened(pool, 40)
        pool.drain()
        total = await over(pool)

        assert pool.notes[1:] == ["worker 1 takes over what worker 0 did not finish"]
        assert (total.launched, total.relaunched, total.lost) == (40, 20, 20)
        assert total.closed == {"drained": 20}


async def test_workers_get_more_to_launch_until_they_are_drained(server):
    half = Reassignment(Unfinished(Share(2, (1,)), 0, 0), at=0.0, pace=1000.0)
    job = job_on(server.port, HELD, share=Share(2, (0,)), start=monotonic() - UNDER_WAY)
    async with pool_of(job) as pool:
        assert pool.reassign(half)
        await opened(pool, 20)
        pool.drain()

        assert not pool.reassign(half)
        assert (await over(pool)).closed == {"drained": 20}


async def test_a_worker_that_is_silent_for_too_long_is_killed(server):
    """Only while the agent itself looks: what it does not read is no one's silence."""
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        await opened(pool, 20)
        now = monotonic()
        pool.kill_hung(now)
        pool.kill_hung(now + HANG_TIMEOUT + 5.0)  # the agent was stopped meanwhile
        assert pool.notes == []

        for second in range(int(HANG_TIMEOUT) + 6):
            pool.kill_hung(now + HANG_TIMEOUT + 5.0 + second)
        await over(pool)

        assert pool.notes == [
            "worker 0 reported nothing for 10 s; it is killed",
            "worker 0 is gone (it was killed by SIGKILL): 20 open connections are lost",
        ]


async def test_workers_number_their_seconds_by_a_start_that_moves(server):
    """Seconds of a standstill are marked; workers that wait for theirs live on."""
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        await opened(pool, 20)
        moved_at = pool.fanin.sources["0"].last.number + 1
        pool.move_start(-30.0, monotonic())
        await until(lambda: pool.fanin.sources["0"].last.number >= moved_at + 29, PATIENCE)
        seconds = pool.settled()[moved_at:]

        assert [second.number for second in seconds[:30]] == [*range(moved_at, moved_at + 30)]
        assert all(second.delays.stalls for second in seconds[:30])
        assert [one.delays.stepped for one in seconds if one.delays.stepped] == [30.0]

        pool.move_start(30.0, monotonic())
        now = monotonic()
        for second in range(30):
            pool.kill_hung(now + second)
        assert pool.notes == []


async def test_paused_workers_launch_nothing_until_they_are_resumed(server):
    start = monotonic() + 0.2
    async with pool_of(job_on(server.port, HELD, start=start)) as pool:
        pool.pause()
        await until(lambda: bool(pool.settled()), PATIENCE)
        launched = pool.fanin.total.launched
        pool.resume(monotonic() - start)
        await opened(pool, 20)

        assert launched == 0
        assert not pool.fanin.total.failed


async def test_living_workers_launch_the_further_users_of_one_that_has_finished(server):
    plan = Plan(rate=1.0, max=3, think=0.01, loops=1)
    start = monotonic()
    jobs = [job_on(server.port, plan, share=share, start=start) for share in Share().split([1, 1])]
    async with pool_of(*jobs) as pool:
        await until(lambda: pool.employed[1].finished, PATIENCE)
        assert not pool.employed[0].finished
        pool.steer(PlanChange(1.5, 2, rate=1000.0))
        pool.steer(PlanChange(1.5, 2, max=9))
        pool.steer(PlanChange(1.6, 9, max=12))

        assert (await over(pool)).closed == {"done": 12}


async def test_users_behind_a_gate_arrive_once_it_opens(server):
    half = Phase(rate=1000.0, max=10, wait=True)
    plan = Plan(phases=(half, half), think=0.05, loops=1)
    (job,) = jobs_on(server.port, plan)
    async with pool_of(job) as pool:
        assert pool.gate == 0
        await until(lambda: pool.gate == 1, PATIENCE)
        assert pool.fanin.total.closed == {"done": 10}
        pool.open_gate(Gate(1, monotonic() - job.start))

        assert (await over(pool)).closed == {"done": 20}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("print('hi')\nasync def session(user): ...\n", ""),
        ("1 / 0\n", "chat.py:1: ZeroDivisionError"),
    ],
)
async def test_session_files_are_imported_before_the_run(source, problem):
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    async with pool_of() as pool:
        await pool.warm(2)
        found = await pool.rehearse((session,))

        assert problem in found
        assert bool(found) == bool(problem)
        assert pool.notes == ([] if problem else ["printed: hi"])
        assert ("chat.py" in pool.tracebacks.get(SESSION_FILE, "")) == bool(problem)


async def test_a_session_file_that_never_returns_is_refused_after_its_bound(monkeypatch):
    monkeypatch.setattr("loadgen.agent.pool.REHEARSAL_TIMEOUT", 0.2)
    monkeypatch.setattr("loadgen.agent.pool.EXIT_TIMEOUT", 0.2)
    source = "while True: pass\nasync def session(user): ...\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    async with pool_of() as pool:
        await pool.warm(1)

        assert await pool.rehearse((session,)) == (
            "chat.py took longer than 0 s to import; move what takes long into the session"
        )


async def test_a_library_that_is_not_here_is_named_before_the_file_is_run():
    source = "1 / 0\nimport no_such_module, no_other\nasync def session(user): ...\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    async with pool_of() as pool:
        await pool.warm(1)
        lines = (await pool.rehearse((session,))).splitlines()

    assert [line.partition(" imports")[0] for line in lines] == [
        "lacks the library no_other, which chat.py:2",
        "lacks the library no_such_module, which chat.py:2",
    ]


async def test_a_worker_that_dies_over_and_over_is_not_replaced_for_ever(server, monkeypatch):
    monkeypatch.setattr("loadgen.agent.pool.MAX_REPLACED", 1)
    source = "import os\nasync def session(user):\n    os._exit(7)\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    plan = Plan(rate=1000.0, max=1, sessions=(session,), hold=600.0)
    async with pool_of(job_on(server.port, plan, start=monotonic()), relaunch_rate=1000.0) as pool:
        await over(pool)

        assert len(pool.employed) == 2
        assert pool.notes[-1].startswith("worker 1 is the 2")
        assert pool.notes[-1].endswith(" that is gone; it is not replaced")


async def test_workers_and_their_successors_dial_the_addresses_that_names_have_now(server):
    """The first address refuses; those who come after the order reach the second."""
    plan = Plan(
        rate=40.0,
        max=4000,
        think=0.1,
        hold=600.0,
        transport=Transport(resolve=5.0, connect_timeout=5.0),
    )
    jobs = [
        replace(
            job, destinations=tuple(numbered(at(DEAD, to), number, 2) for to in job.destinations)
        )
        for number, job in enumerate(jobs_on(server.port, plan, count=2))
    ]
    async with pool_of(*jobs) as pool:
        await until(lambda: pool.fanin.total.failed.get("refused", 0) > 2, PATIENCE)
        pool.readdress([at("127.0.0.1", to) for to in jobs[0].destinations])
        await until(lambda: pool.fanin.total.opened > 2, PATIENCE)
        for worker in pool.employed:
            (to,) = worker.job.destinations
            assert to.addresses == ("127.0.0.1",)
            assert to.ways[0].sources.worker == worker.number
            assert to.ways[0].sources.workers == 2


def at(address, to):
    """Returns a destination at another address; its pairs are numbered for no worker."""
    return numbered(replace(to, ways=(replace(to.ways[0], address=address),)), 0, 1)


DEAD = "127.0.15.9"
"""An address of this machine on which nothing listens."""


@pytest.mark.parametrize(
    "line", ["while True: pass", "import time; time.sleep(600)"], ids=["computes", "blocks"]
)
async def test_a_session_that_hangs_its_worker_is_named(server, tmp_path, line):
    hangs = tmp_path / "hangs"
    source = f"async def session(user):\n    open({str(hangs)!r}, 'w').close()\n    {line}\n"
    session = PythonSession(name="chat", file="chat.py", source=source, sha256=digest(source))
    plan = Plan(rate=1000.0, max=1, sessions=(session,), hold=600.0)
    async with pool_of(job_on(server.port, plan, start=monotonic())) as pool:
        (worker,) = pool.employed
        await until(hangs.exists, PATIENCE)
        now = monotonic()
        worker.last_report = now
        pool.kill_hung(now)
        pool.expect_silence_until(now)
        later = 0.0
        while later < HANG_TIMEOUT - ANSWER_TIME / 2:
            later += 0.5
            pool.kill_hung(now + later)
        await until(lambda: "in session chat of" in worker.where_it_hangs(), PATIENCE)
        pool.kill_hung(now + HANG_TIMEOUT + 0.1)
        await over(pool)

        named, gone = pool.notes
        # It may still be at the line before, which tells that it has begun.
        assert re.fullmatch(
            r"worker 0 reported nothing for 10 s in session chat of user 0 \(chat\.py:[23]\);"
            " it is killed",
            named,
        )
        assert gone == "worker 0 is gone (it was killed by SIGKILL): 0 open connections are lost"
        assert 'chat.py", line ' in pool.tracebacks[HUNG_WORKER]


async def test_an_order_that_raises_ends_its_worker_with_a_traceback(server):
    async with pool_of(*jobs_on(server.port, HELD)) as pool:
        await opened(pool, 20)
        pool.employed[0].send(b"dance\n")
        await over(pool)

        assert pool.notes[0] == (
            "worker 0 is gone (it ended with exit code 1: KeyError: b'dance'): 20 open connections"
            " are lost"
        )
        assert pool.notes[1] == "worker 0 wrote: Traceback (most recent call last):"
        assert pool.notes[-1] == "worker 0 wrote: KeyError: b'dance'"
        assert pool.tracebacks[CRASHED_WORKER].endswith("KeyError: b'dance'")


async def test_workers_follow_a_change_of_the_plan_and_so_do_those_that_replace_them(server):
    plan = Plan(rate=1.0, max=1000, think=0.1, loops=1000)
    # A second from now: the workers start within it, and know of both changes before they are due.
    start = monotonic() + 1.0
    jobs = [job_on(server.port, plan, share=share, start=start) for share in Share().split([1, 1])]
    async with pool_of(*jobs, relaunch_rate=1000.0) as pool:
        pool.steer(PlanChange(0.01, 1, rate=1000.0))
        pool.steer(PlanChange(0.02, 11, max=40))
        assert pool.total == 40
        await opened(pool, 40)
        one = pool.employed[0]
        one.kill()
        await until(lambda: pool.fanin.total.lost > 0, PATIENCE)
        await until(lambda: pool.fanin.total.relaunched == pool.fanin.total.lost, PATIENCE)

        assert pool.fanin.total.launched == 40 + pool.fanin.total.relaunched
