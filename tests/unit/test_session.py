"""Users and their sessions, driven by the engine against the websockets library's server in the same event loop."""

import asyncio
import socket
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import monotonic

import pytest
from websockets.asyncio.server import serve

from loadgen.arrivals import Share
from loadgen.book import Book
from loadgen.dialer import ConnectFailed, Dialer
from loadgen.engine import TICK, Engine
from loadgen.handshake import Handshake
from loadgen.plan import Plan
from loadgen.session import BUILT_IN, ConnectionEnded
from loadgen.sources import SourcePorts
from loadgen.tally import Held, Ledger
from tests.unit.wire_ends import until

SOURCE = "127.0.9.3"
PORTS = range(24_500, 24_600)


class Server:
    """The far side: holds every connection, and remembers each with the code of its close."""

    def __init__(self):
        self.connections = []
        self.codes = []

    async def hold(self, connection):
        self.connections.append(connection)
        async for _ in connection:
            pass
        self.codes.append(connection.close_code)


class Load:
    """An engine that runs a session, ticking in the background as a worker would."""

    def __init__(self, session, plan, port, ports):
        loop = asyncio.get_running_loop()
        self.plan = plan
        self.book = Book(Handshake(f"127.0.0.1:{port}", "/"), plan.think, seed=1, close_within=1.0)
        self.dialer = Dialer(loop, ("127.0.0.1", port), SourcePorts((SOURCE,), ports), self.book)
        self.engine = Engine(
            plan=plan, session=session, dues=plan.schedule.dues(Share()), start=monotonic(), most_open=100,
            book=self.book, dialer=self.dialer,
        )  # fmt: skip
        self.ticking = asyncio.create_task(self._tick())

    async def _tick(self):
        while not self.engine.finished:
            self.engine.tick(monotonic())
            await asyncio.sleep(TICK / 2)

    @property
    def ledger(self):
        return Ledger.of(self.plan.max, self.book.tally)

    async def over(self):
        """Waits for the end of everything, by itself; the ledger then."""
        await until(lambda: self.engine.finished)
        assert self.ledger.breaches(Held()) == []
        return self.ledger


@asynccontextmanager
async def load(session, *, port=None, ports=PORTS, refuse=False, **changes):
    """A session under way against a fresh server; whatever is left is drained at the end."""
    server = Server()

    def answer(connection, _):
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no") if refuse else None

    async with serve(
        server.hold, "127.0.0.1", 0, compression=None, ping_interval=None, process_request=answer
    ) as listening:
        own = listening.sockets[0].getsockname()[1]
        plan = Plan(**{"rate": 500.0, "max": 1, "think": 30.0, "hold": 0.0} | changes)
        running = Load(session, plan, port or own, ports)
        try:
            yield running, server
        finally:
            running.engine.drain(monotonic())
            await asyncio.wait_for(running.ticking, 10)
            running.dialer.close()


async def test_a_session_that_awaits_a_future_goes_on_with_its_result():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        got.append(await future)

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        assert got == []
        future.set_result("the answer")
        assert (await running.over()).closed == {"done": 1}
        assert got == ["the answer"]


async def test_a_future_that_fails_raises_in_the_session():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        try:
            await future
        except LookupError as error:
            got.append(str(error))

    async with load(session) as (running, _):
        await until(lambda: running.ledger.open == 1)
        future.set_exception(LookupError("not here"))
        assert (await running.over()).closed == {"done": 1}
        assert got == ["not here"]


async def test_one_future_resumes_everybody_who_awaits_it():
    future, got = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        got.append((user.number, await future))

    async with load(session, max=5) as (running, _):
        await until(lambda: running.ledger.open == 5)
        future.set_result("go")
        assert (await running.over()).closed == {"done": 5}
        assert sorted(got) == [(number, "go") for number in range(5)]


async def test_think_time_ends_with_when_it_was_due():
    """The due times of a user are a think time apart on the clock of the plan, however late the ticks come."""
    dues = []

    async def session(user):
        await user.connect()
        for _ in range(3):
            dues.append(await user.think())

    think = 4 * TICK
    async with load(session, think=think) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        first, second, third = dues
        assert (second - first, third - second) == (pytest.approx(think), pytest.approx(think))


@pytest.mark.parametrize("waits", ["thinking", "for a future"])
async def test_the_end_of_its_connection_interrupts_a_session_wherever_it_waits(waits):
    future, heard = asyncio.get_running_loop().create_future(), []

    async def session(user):
        await user.connect()
        try:
            await (user.think() if waits == "thinking" else future)
        except ConnectionEnded as end:
            heard.append(str(end))
            raise

    async with load(session) as (running, server):
        await until(lambda: running.ledger.open == 1)
        (user,) = running.engine.users
        await server.connections[0].close(1001)
        assert (await running.over()).closed == {"server_1001": 1}
        assert heard == ["server_1001"]
        future.set_result(None)
        user.resume(None)  # a place on the wheel that comes round afterwards
        assert (heard, running.ledger.closed) == (["server_1001"], {"server_1001": 1})


async def test_a_session_may_outlive_its_connection():
    """It catches the end and finishes what it has to do: the connection is counted once, as what ended it."""
    afterwards = []

    async def session(user):
        await user.connect()
        try:
            await user.think()
        except ConnectionEnded:
            afterwards.append(user.number)

    async with load(session) as (running, server):
        await until(lambda: running.ledger.open == 1)
        await server.connections[0].close(1000)
        assert (await running.over()).closed == {"server_1000": 1}
        assert afterwards == [0]


async def test_a_session_that_returns_closes_its_connection_in_good_order():
    async def session(user):
        await user.connect()

    async with load(session, max=3) as (running, server):
        ledger = await running.over()
        assert (ledger.opened, ledger.closed) == (3, {"done": 3})
        await until(lambda: server.codes == [1000] * 3)


def nobody() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize(
    ("circumstances", "reason"),
    [
        ({"port": nobody}, "refused"),
        ({"ports": range(24_600, 24_600)}, "no_local_port"),
        ({"refuse": True}, "http_503"),
    ],
)
async def test_a_connect_that_fails_raises_in_the_session_and_is_counted_once(circumstances, reason):
    heard = []

    async def session(user):
        try:
            await user.connect()
        except (ConnectFailed, ConnectionEnded) as end:
            heard.append(str(end))
            raise

    circumstances = {name: value() if callable(value) else value for name, value in circumstances.items()}
    async with load(session, max=4, **circumstances) as (running, _):
        ledger = await running.over()
        assert (ledger.launched, ledger.failed, ledger.opened, ledger.closed) == (4, {reason: 4}, 0, {})
        assert heard == [reason] * 4


@pytest.mark.parametrize(("ping", "pings", "messages"), [("protocol", 3, 0), ("app", 3, 3), ("none", 0, 0)])
async def test_the_built_in_sessions_take_as_many_turns_as_the_plan_says(ping, pings, messages):
    async with load(BUILT_IN[ping], ping=ping, loops=3, think=0.02) as (running, _):
        assert (await running.over()).closed == {"done": 1}
        assert (running.book.tally.pings, running.book.tally.messages_sent) == (pings, messages)
