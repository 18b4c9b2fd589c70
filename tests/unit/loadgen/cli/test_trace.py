"""The process that plays one user of a trace, by the order on its standard input."""

import asyncio
import re
import signal
import sys
from contextlib import asynccontextmanager

from websockets.asyncio.server import serve

from loadgen.plan.feeder import Feeder
from loadgen.plan.plan import Plan
from loadgen.plan.sessions import PythonSession
from loadgen.plan.setup import SetupSpec
from loadgen.wire import to_wire
from tests.processes import environment

TIME = re.compile(r" *\d+\.\d{4}  | {12}")
"""The beginning of a line of a trace; what the session prints has none."""
SESSION = """
print("imported", __name__)

async def session(user):
    ws = await user.connect()
    await ws.send(user.row["name"])
    print("reply", await ws.receive(timeout=5))
    await ws.close()
"""


async def play(plan, *, rows=(), allowed=(), until=None):
    """Plays a plan; with `until`, ends the process once it has written that.

    Returns its exit code, the lines that it wrote without their times, and its errors.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadgen.cli.trace"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    order = {"plan": plan.for_agents, "rows": list(rows), "allowed": list(allowed)}
    process.stdin.write(to_wire(order))
    process.stdin.close()
    if until is not None:
        while until not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    lines = [TIME.sub("", line).partition("  (")[0] for line in out.decode().splitlines()]
    return await process.wait(), lines, err.decode()


@asynccontextmanager
async def echo():
    """The URL of a server that sends each message back."""

    async def answer(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def plan_of(url, source=None, **changes):
    sessions = (
        () if source is None else (PythonSession(name="chat", file="chat.py", source=source),)
    )
    return Plan(target=url, max=1, rate=1000.0, hold="sessions", sessions=sessions, **changes)


async def test_a_session_is_played_to_its_end_with_its_row():
    feeder = Feeder(rows=({"name": "ada"},), columns=("name",), count=1)
    async with echo() as url:
        code, lines, err = await play(plan_of(url, SESSION, feeders=(feeder,)), rows=[b'["ada"]\n'])

    assert (code, err) == (0, "")
    shown = ["user 0 begins session 'chat'", "connected"]
    shown += ["→ text, 3 bytes: ada", "reply ada"]
    shown += ["connection closed: done", "the session returned", "ledger: closed done 1"]
    assert [line for line in lines if line in shown] == shown


async def test_ctrl_c_closes_the_connection_in_good_order():
    async with echo() as url:
        code, lines, err = await play(plan_of(url, think=600.0), until=b"HTTP/1.1 101")

    assert (code, err) == (130, "")
    assert "the operator ends the trace" in lines
    assert lines[-2:] == ["the session did not end by itself", "ledger: closed drained 1"]


async def test_a_session_that_fails_has_its_sample_and_ends_with_1():
    source = "async def session(user):\n    raise ValueError('oops')\n"
    code, lines, err = await play(plan_of("ws://127.0.0.1:9/", source))

    assert (code, err) == (1, "")
    assert "error_ValueError:" in lines
    assert "ValueError: oops" in lines
    assert "the session failed at chat.py:2: ValueError: oops" in lines
    assert lines[-1] == "ledger: failed error_ValueError 1"


async def test_a_file_that_can_not_be_imported_is_shown_with_its_traceback():
    code, _, err = await play(plan_of("ws://127.0.0.1:9/", "1 / 0\n"))

    assert code == 2
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("loadgen-coord: chat.py:1: ZeroDivisionError")


async def test_a_target_that_is_not_allowed_is_not_loaded():
    code, lines, err = await play(plan_of("ws://198.18.0.1/"))

    assert (code, lines) == (2, [])
    assert err.startswith("loadgen-coord: the trace ")
    assert err.count("\n") == 1


PREPARE = """
def setup(params):
    print("opens", params["room"])
    return {"room": params["room"]}

def teardown(data):
    raise ValueError(data["room"])
"""


async def test_a_setup_and_a_teardown_are_called_beside_the_user():
    setup = SetupSpec(file="prepare.py", teardown="teardown", source=PREPARE)
    source = "async def session(user):\n    user.remark(user.data['room'])\n"
    code, lines, err = await play(
        plan_of("ws://127.0.0.1:9/", source, setup=setup, params={"room": "lobby"})
    )

    assert code == 0
    shown = ["setup of prepare.py", "printed: opens lobby", "user 0 begins session 'chat'"]
    shown += ["remark lobby", "the session returned", "teardown of prepare.py"]
    shown += ["teardown failed: prepare.py:7: ValueError: lobby"]
    assert [line for line in lines if line in shown] == shown
    assert err.splitlines()[-1] == "ValueError: lobby"


async def test_a_setup_that_fails_ends_a_trace_before_the_user():
    setup = SetupSpec(file="prepare.py", teardown="teardown", source=PREPARE)
    code, lines, err = await play(plan_of("ws://127.0.0.1:9/", setup=setup))

    assert (code, lines) == (2, ["setup of prepare.py"])
    assert err.splitlines()[-1] == "loadgen-coord: setup failed: prepare.py:3: KeyError: 'room'"
