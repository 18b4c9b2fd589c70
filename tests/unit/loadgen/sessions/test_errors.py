"""The exceptions of a session's connections: their text is the reason.

The ledger counts the connection under it.
"""

from contextlib import asynccontextmanager

from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from loadgen.sessions.errors import ConnectFailed, ConnectionEnded
from tests.processes import refusing_port
from tests.unit.loads import Load

ONE = Plan(max=1, rate=500.0, hold=0.0)


class Caught:
    """A session that waits for its connection's end and keeps the exception."""

    def __init__(self):
        self.errors = []

    async def session(self, user):
        try:
            websocket = await user.connect()
            await websocket.receive()
        except (ConnectFailed, ConnectionEnded) as error:
            self.errors.append(error)
            raise


@asynccontextmanager
async def loading(port, ports):
    """One user of the session under way, and what it caught."""
    caught = Caught()
    running = Load(ONE, port, source="127.0.9.31", ports=ports, session=caught.session)
    try:
        yield running, caught
    finally:
        await running.end()


async def test_a_connection_that_fails_says_under_which_reason_it_counts():
    async with loading(refusing_port(), range(24_900, 24_950)) as (running, caught):
        ledger = await running.over()

    (error,) = caught.errors
    assert isinstance(error, ConnectFailed)
    assert (str(error), ledger.failed) == ("refused", {"refused": 1})


async def test_a_connection_that_ends_says_under_which_reason_it_counts():
    async def leave(connection):
        await connection.close(4001)

    async with (
        serve(leave, "127.0.0.1", 0) as server,
        loading(server.sockets[0].getsockname()[1], range(24_950, 25_000)) as (running, caught),
    ):
        ledger = await running.over()

    (error,) = caught.errors
    assert isinstance(error, ConnectionEnded)
    assert (str(error), ledger.closed) == ("server_4001", {"server_4001": 1})


def test_a_session_that_expects_one_of_them_does_not_catch_the_other():
    assert not issubclass(ConnectFailed, ConnectionEnded)
    assert not issubclass(ConnectionEnded, ConnectFailed)
