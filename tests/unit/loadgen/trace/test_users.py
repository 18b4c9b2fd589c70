"""Users of a trace: the lines about what their sessions do, against real servers."""

from contextlib import asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from loadgen.trace.http import TracedHttp
from loadgen.trace.trace import Trace
from loadgen.trace.users import TracedLoopUser, TracedUser
from tests.processes import refusing_port
from tests.unit.loads import Load
from tests.unit.wire_ends import until

SOURCE, PORTS = "127.0.9.23", range(24_600, 24_650)


def shown_by(running, kind, **options):
    """Makes the users of a scenario of this kind; returns their trace and its lines.

    The lines are without times and places.
    """
    lines = []
    trace = Trace(lambda line: lines.append(line[12:].partition("  (")[0]))
    running.scenario.user_kind = partial(kind, trace, **options)
    return trace, lines


async def greet(connection):
    """Sends a greeting, and closes with 1001 on `bye`."""
    await connection.send("welcome")
    async for message in connection:
        if message == "bye":
            await connection.close(1001)


@asynccontextmanager
async def load(session=None, port=0, **changes):
    """One user under way against a fresh server, or against a port."""
    async with serve(greet, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = port or server.sockets[0].getsockname()[1]
        options = {"target": f"ws://127.0.0.1:{port}/chat?token=s3cret", "rate": 500.0, "max": 1}
        plan = Plan(**options | {"hold": 0.0} | changes)
        running = Load(plan, port, source=SOURCE, ports=PORTS, session=session)
        try:
            yield running
        finally:
            await running.end()


async def steps(session, *, is_script=False, port=0):
    """Returns the trace of a session, and its lines."""
    async with load(session, port) as running:
        trace, lines = shown_by(running, TracedUser, is_script=is_script)
        await running.over()
    return trace, lines


async def test_each_step_of_a_session_is_a_line():
    async def session(user):
        ws = await user.connect()
        assert await ws.receive(timeout=5) == "welcome"
        await user.think(0.002)
        await ws.ping()
        user.check("greeted", True, sample="not shown")
        user.check("rich", 0, sample="poor\x07")
        user.count("greetings", 2)
        user.took("nap", 0.0123)
        user.remark("half way")
        await user.meet(7)
        await ws.close()

    trace, lines = await steps(session)

    assert lines == [
        "connect ws://127.0.0.1:" + lines[0].partition("1:")[2],
        "waits for a message, at most 5 s",
        "think 0.002 s",
        "waits for the pong",
        "check 'greeted' passed",
        "check 'rich' FAILED: poor\\x07",
        "count greetings +2",
        "time nap 12.3 ms",
        "remark half way",
        "meet 7 users: a trace has one, and goes on",
        "waits for the end of the connection",
        "connection closed: done",
        "the session returned",
    ]
    assert lines[0].endswith("/chat?token=…")
    assert (trace.over, trace.failed) == (True, False)


async def test_a_session_that_raises_is_shown_with_the_authors_line():
    async def session(user):
        await user.connect("/elsewhere")
        raise ValueError("oops")

    lines = []
    async with load(session) as running:
        trace = Trace(lines.append)
        running.scenario.user_kind = partial(TracedUser, trace, is_script=False)
        await running.over()

    assert any("connect /elsewhere  (" in line for line in lines)
    (end,) = (line for line in lines if "the session failed" in line)
    line = session.__code__.co_firstlineno + 2
    assert end.endswith(f"the session failed at {__file__}:{line}: ValueError: oops")
    assert trace.failed


async def test_an_error_outside_of_the_authors_lines_has_no_place():
    code = compile("async def session(user):\n    raise ValueError('oops')", "<made>", "exec")
    names = {}
    exec(code, names)
    _, lines = await steps(names["session"])

    assert lines == ["the session failed: ValueError: oops"]


async def test_its_http_requests_are_traced():
    kinds = []

    async def session(user):
        kinds.append(type(user.http))

    _, lines = await steps(session)

    assert (kinds, lines) == ([TracedHttp], ["the session returned"])


async def test_the_end_of_the_run_can_be_asked_for():
    async def session(user):
        user.abort_run("the server is wrong\x1b")

    _, lines = await steps(session)

    assert lines == [
        "asks for the end of the run: the server is wrong\\x1b",
        "the session returned",
    ]


@pytest.mark.parametrize(("is_script", "end"), [(True, "failed"), (False, "returned")])
async def test_a_connection_that_the_server_ends_fails_a_script(is_script, end):
    async def session(user):
        ws = await user.connect()
        await ws.send("bye")
        with pytest.raises(ConnectionEnded):
            await user.think(60)

    trace, lines = await steps(session, is_script=is_script)

    assert lines[-2:] == ["connection closed: server_1001", f"the session {end}"]
    assert trace.failed == is_script


async def test_a_connection_that_fails_is_shown():
    async def session(user):
        with pytest.raises(ConnectFailed):
            await user.connect()

    trace, lines = await steps(session, is_script=True, port=refusing_port())

    assert lines[1:] == ["connection failed: refused", "the session failed"]
    assert trace.failed


async def test_a_loop_shows_its_connection_and_its_end():
    async with load(think=0.01, loops=2) as running:
        trace, lines = shown_by(running, TracedLoopUser)
        await running.over()

    assert lines[0].startswith("connect ws://127.0.0.1:")
    assert lines[0].endswith("/chat?token=…")
    assert lines[1:] == ["connection closed: done", "the session returned"]
    assert (trace.over, trace.failed) == (True, False)


async def test_a_loop_that_is_refused_has_failed():
    async with load(port=refusing_port()) as running:
        trace, lines = shown_by(running, TracedLoopUser)
        await running.over()

    assert lines[1:] == ["connection failed: refused", "the session failed"]
    assert trace.failed


async def test_a_loop_that_is_drained_did_not_end_by_itself():
    async with load(think=600.0) as running:
        trace, lines = shown_by(running, TracedLoopUser)
        await until(lambda: running.ledger.open == 1)

    assert lines[1:] == ["connection closed: drained"]
    assert not trace.over
