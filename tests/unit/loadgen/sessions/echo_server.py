"""A session under way against the server of the websockets library."""

from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import serve

from loadgen.plan.plan import Plan
from tests.unit.loads import Load

SOURCE = "127.0.9.3"
PORTS = range(24_500, 24_900)


class Server:
    """The far side: echoes, and remembers every connection and the code of its close."""

    def __init__(self):
        self.connections = []
        self.codes = []

    async def hold(self, connection):
        self.connections.append(connection)
        async for message in connection:
            await connection.send(message)
        self.codes.append(connection.close_code)


@asynccontextmanager
async def load(session, *, port=None, ports=PORTS, refuse=False, subprotocols=None, **changes):
    """A session under way against a fresh server; the end drains users that are left."""
    server = Server()

    def answer(connection, _):
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no") if refuse else None

    async with serve(
        server.hold,
        "127.0.0.1",
        0,
        compression=None,
        ping_interval=None,
        process_request=answer,
        subprotocols=subprotocols,
    ) as listening:
        own = listening.sockets[0].getsockname()[1]
        plan = Plan(**{"rate": 500.0, "max": 1, "think": 30.0, "hold": 0.0} | changes)
        running = Load(plan, port or own, source=SOURCE, ports=ports, session=session)
        try:
            yield running, server
        finally:
            await running.end()


async def ended(session, **changes):
    """Runs a session of one user to its end; returns its ledger, tally and samples."""
    async with load(session, **changes) as (running, _):
        ledger = await running.over()
        return ledger, running.tally, running.recorder.samples
