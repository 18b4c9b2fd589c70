"""The engine against the websockets library's server in one event loop."""

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Response

from loadgen.grain import COARSE, CROWDED, EXACT, FINE
from loadgen.net.connection import Connection
from loadgen.net.connections import Connections
from loadgen.net.tls import Contexts
from loadgen.plan.credentials import Credentials
from loadgen.plan.phases import Phase
from loadgen.plan.plan import Plan
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.schedule import Span
from loadgen.plan.sessions import PythonSession
from loadgen.plan.shares import Share
from loadgen.plan.steer import PlanChange, steered
from loadgen.plan.transport import Transport
from loadgen.sessions.churn import Churn
from loadgen.sessions.loop import LoopUser
from loadgen.sessions.population import Population
from loadgen.sessions.scenario import Scenario
from loadgen.sessions.trampoline import BaseUser
from loadgen.stats.ledger import Held
from loadgen.stats.recorder import Recorder
from loadgen.timers import Alarm, Deadlines
from loadgen.worker.arrivals import Arrivals
from loadgen.worker.engine import LATE, MAX_SLEEP, Engine, grain_of
from tests.unit.loads import Load
from tests.unit.timing import MS
from tests.unit.wire_ends import FarSide, until

SOURCE = "127.0.9.2"


@asynccontextmanager
async def load(plan: Plan, *, port=None, ports: range = range(22_000, 24_000), **circumstances):
    """A plan under way against a fresh server; the end drains users that are left."""
    async with _server() as own:
        running = Load(plan, port or own, source=SOURCE, ports=ports, **circumstances)
        try:
            yield running
        finally:
            await running.end()


@asynccontextmanager
async def _server(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def hold(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    async with serve(hold, "127.0.0.1", 0, compression=None, ping_interval=None, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


def plan(**changes) -> Plan:
    """Returns a small quick plan."""
    return Plan(**{"rate": 500.0, "max": 20, "think": 0.05, "hold": 0.0} | changes)


def longest_lag(running: Load) -> float:
    """Returns the most seconds from due to launch."""
    return running.tally.lag.summary()["max"] / 1000


async def test_everything_planned_is_opened_and_the_ledger_agrees_with_what_is_held():
    async with load(plan()) as running:
        await until(lambda: running.tally.opened == 20)
        assert running.ledger.breaches(running.engine.held()) == []
        assert running.engine.held() == Held(connecting=0, open=20)
        assert (
            running.tally.handshake.total
            == running.tally.open.total
            == running.tally.connect.total
            == 20
        )


async def test_arrivals_wait_for_their_time():
    async with load(plan(rate=20.0, max=10)) as running:
        await until(lambda: running.tally.launched >= 2)
        assert running.tally.lag.total == running.tally.launched < 10


async def test_late_launches_go_at_once_and_are_counted():
    """The engine starts a second after the schedule did, and skips no user."""
    async with load(plan(), late=1.0) as running:
        await until(lambda: running.tally.opened == 20)
        assert running.tally.late == 20
        assert running.tally.lag.summary()["p50"] >= LATE * 1000
        delays = running.recorder.delays
        assert delays.late == 20
        assert delays.late_by > 0.9
        assert not delays.waited


async def test_a_wait_for_a_place_is_late_but_not_by_the_fault_of_the_worker():
    """A plan may ask for more than the agent holds."""
    async with load(plan(max=20, loops=2, think=2 * LATE), max_open=5) as running:
        await until(lambda: running.engine.finished)
        assert running.tally.late >= 10
        assert not running.recorder.delays.waited
        assert running.recorder.delays.late_by < longest_lag(running) / 2


async def test_a_wait_among_the_handshakes_in_flight_is_noted(monkeypatch):
    monkeypatch.setattr("loadgen.worker.engine.MAX_CONNECTING", 3)
    async with load(plan(max=20, rate=10_000.0)) as running:
        await until(lambda: running.tally.opened == 20)
        assert running.recorder.delays.waited


async def test_what_an_order_held_up_is_late_but_not_by_the_fault_of_the_worker():
    async with load(plan(rate=100.0, max=40)) as running:
        await until(lambda: running.tally.opened >= 10)
        running.engine.pause()
        await asyncio.sleep(2 * LATE)
        running.engine.resume(0.0)
        await until(lambda: running.tally.opened == 40)
        assert running.tally.late > 0
        assert running.recorder.delays.late_by < longest_lag(running)


async def test_pings_go_out_once_a_turn_and_their_pongs_come_back():
    async with load(plan(max=5)) as running:
        await until(lambda: running.tally.pongs >= 20)
        assert running.tally.ping_rtt.total == running.tally.pongs <= running.tally.pings


async def test_loops_end_a_session_as_done():
    async with load(plan(max=5, loops=3)) as running:
        await until(lambda: running.engine.finished)
        await running.settled()
        assert running.tally.closed == {"done": 5}
        assert running.tally.pings == 15


async def test_a_silent_session_sends_nothing_after_its_request():
    async with load(plan(max=3, ping="none", loops=2)) as running:
        await until(lambda: running.engine.finished)
        assert running.tally.pings == running.tally.pongs == 0
        assert running.tally.closed == {"done": 3}


async def test_a_pause_puts_off_arrivals_and_sessions_go_on():
    async with load(plan(rate=100.0, max=40)) as running:
        await until(lambda: running.tally.opened >= 10)
        began = monotonic()
        running.engine.pause()
        launched, pings = running.tally.launched, running.tally.pings
        await until(lambda: running.tally.pings >= pings + 200)
        assert running.tally.launched == launched
        assert not running.engine.finished

        paused = monotonic() - began
        running.engine.resume(paused)
        running.engine.resume(monotonic() - began)  # again, and a little later: the sum counts
        await until(lambda: running.tally.opened == 40)
        assert running.tally.lag.summary()["p50"] < 1000 * paused / 2


async def test_a_pause_puts_off_returns_too():
    keep = (Phase(duration=600.0, keep=True), Span(0, 0.0, 600.0, 0))
    async with load(plan(loops=3), phases=(keep,)) as running:
        await until(lambda: running.tally.relaunched >= 10)
        running.engine.pause()
        relaunched = running.tally.relaunched
        await until(lambda: not running.engine.connections)
        assert running.tally.relaunched == relaunched
        assert not running.engine.finished

        running.engine.resume(0.5)
        await until(lambda: running.tally.relaunched >= relaunched + 10)


async def test_a_drain_closes_everything_and_launches_nothing_more():
    async with load(plan(rate=100.0, max=1000)) as running:
        await until(lambda: running.tally.opened >= 10)
        running.engine.drain(monotonic())
        await until(lambda: running.engine.finished)
        await running.settled()
        ledger = running.ledger
        assert ledger.open == ledger.connecting == 0
        assert ledger.closed == {"drained": ledger.opened}
        assert ledger.not_started == 1000 - ledger.launched > 0


async def test_no_more_are_open_than_there_are_places_and_the_rest_waits():
    async with load(plan(max=30, think=30.0), max_open=10) as running:
        await until(lambda: running.tally.opened == 10)
        await asyncio.sleep(100 * MS)
        assert running.tally.launched == 10
        assert running.ledger.not_started == 20


async def test_a_user_that_waited_takes_a_free_place():
    async with load(plan(max=30, loops=1), max_open=10) as running:
        await until(lambda: running.engine.finished)
        await running.settled()
        assert running.tally.closed == {"done": 30}


async def test_used_up_ports_are_a_reason_and_returned_ones_serve_again():
    async with load(plan(max=30, think=30.0), ports=range(24_100, 24_110)) as running:
        await until(lambda: running.tally.launched == 30)
        await until(lambda: running.tally.opened == 10)
        await until(lambda: running.tally.failed == {"no_local_port": 20})


async def test_a_refusing_target_is_a_reason_and_ends_the_load():
    probe = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    async with load(plan(), port=port) as running:
        await until(lambda: running.engine.finished)
        assert running.tally.failed == {"refused": 20}
        assert running.ledger.breaches(running.engine.held()) == []


@pytest.mark.parametrize("ping", ["protocol", "app", "none"])
async def test_every_built_in_session_holds_its_connection(ping):
    async with load(plan(max=2, ping=ping, think=30.0)) as running:
        await until(lambda: running.engine.held() == Held(connecting=0, open=2))


async def test_connections_that_answered_lately_are_alive():
    async with load(plan(max=5, ping="none"), window=1) as running:
        await until(lambda: running.engine.held() == Held(connecting=0, open=5, alive=5))
        running.recorder.swap()
        assert running.engine.held().alive == 5
        running.recorder.swap()
        assert running.engine.held().alive == 0


async def test_a_stop_aborts_every_connection_at_once_and_counts_each():
    async with load(plan(rate=100.0, max=1000)) as running:
        await until(lambda: running.tally.opened >= 10)
        running.engine.stop(monotonic())
        await until(lambda: running.engine.finished)
        await running.settled()
        assert running.ledger.breaches(running.engine.held()) == []
        assert set(running.ledger.closed) == {"drained"}
        assert running.tally.drained_unanswered == running.tally.pongs_missing == 0
        tally = running.tally
        assert tally.pings == tally.pongs + tally.pings_cut == tally.ping_rtt.total


async def test_a_server_that_answers_the_newest_ping_after_a_stall_is_as_slow_as_it_is():
    """RFC 6455 section 5.5.3 allows it; five pings are due in each stall."""
    think, stall = 0.1, 0.5

    async def hold(sock: socket.socket) -> None:
        far = FarSide(sock)
        await far.upgrade()
        while True:
            await asyncio.sleep(stall)
            frames = await far.frames_now()
            pings = [frame for frame in frames if frame.opcode is Opcode.PING]
            if pings:
                await far.send_frame(Opcode.PONG, pings[-1].data)
            if len(pings) < len(frames):  # a CLOSE
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        one = plan(max=1, think=think, loops=20)
        running = Load(one, listener.getsockname()[1], source=SOURCE, ports=range(22_000, 22_020))
        sock, _ = await asyncio.get_running_loop().sock_accept(listener)
        with sock:
            sock.setblocking(False)
            await asyncio.wait_for(hold(sock), 10)
        await running.over()
        await running.end()
        tally = running.tally
        assert tally.pings == tally.ping_rtt.total == tally.pongs + tally.pongs_skipped == 20
        assert tally.pongs <= 6
        assert tally.ping_rtt.percentile(90.0) >= 0.3 * 1e6


async def test_ended_users_are_freed_although_the_collector_is_off():
    """Workers run without the cycle collector, so every end must free its objects."""
    gc.collect()
    gc.disable()
    try:
        async with load(plan(max=30, loops=1)) as running:
            await until(lambda: running.engine.finished)
        async with load(plan(max=30), port=1) as running:
            await until(lambda: running.engine.finished)
        async with _server_that_refuses() as port, load(plan(max=30), port=port) as running:
            await until(lambda: running.engine.finished)
            assert running.tally.failed == {"http_404": 30}
        running = None
        await until(lambda: not left_behind())
    finally:
        gc.enable()


def left_behind():
    return [thing for thing in gc.get_objects() if type(thing) in (LoopUser, Connection)]


@asynccontextmanager
async def _server_that_refuses() -> AsyncIterator[int]:
    async def refuse(_: ServerConnection, __: object) -> Response:
        return Response(404, "Not Found", Headers())

    async with serve(None, "127.0.0.1", 0, process_request=refuse) as server:
        yield server.sockets[0].getsockname()[1]


async def test_wss_is_opened_pinged_and_drained_and_its_ports_serve_again():
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = Contexts(Transport(), Credentials(ca=authority.cert_pem.bytes().decode()))
    five_ports = {"ports": range(24_200, 24_205), "tls": trusting}
    async with (
        _server(server_side) as port,
        load(plan(max=10, loops=1), max_open=5, port=port, **five_ports) as running,
    ):
        await until(lambda: running.engine.finished)
        await running.settled()
        assert running.tally.closed == {"done": 10}
        assert running.tally.pongs == running.tally.connect.total == 10
        parts = (running.tally.tcp, running.tally.tls, running.tally.upgrade)
        assert [part.total for part in parts] == [10, 10, 10]
        assert sum(part.sum for part in parts) <= running.tally.handshake.sum
        assert (running.tally.tls_handshakes, running.tally.tls_resumed) == (10, 0)


async def test_a_certificate_of_an_unknown_authority_is_a_tls_failure():
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(server_side)
    own = Contexts(Transport())
    async with _server(server_side) as port, load(plan(max=3), port=port, tls=own) as running:
        await until(lambda: running.engine.finished)
        assert running.tally.failed == {"tls": 3}


def asleep(*dues: float, grain: float = EXACT, phases=(), start: float = 100.0) -> Engine:
    """An engine that starts at 100 s, and launches users at these ages."""
    recorder = Recorder(seed=1)
    connections = Connections((), Deadlines(1.0))
    population = Population(recorder, connections, Churn(phases, 1.0, 0, start), Alarm(float))
    scenario = Unconnected(population, start)
    arrivals = Arrivals(lambda _, __: iter(enumerate(dues)), Share(), 1)
    return Engine(start, population, [scenario], arrivals, lambda _: 0, 10, grain=grain)


class Unconnected(Scenario):
    """Notes the users that are launched, and with when they were due."""

    def __init__(self, population: Population, start: float) -> None:
        super().__init__(population, start, pytest.fail)
        self.launched: list[tuple[int, float]] = []

    def start_user(self, number: int, due: float) -> None:
        self.launched.append((number, due))


class Ending(BaseUser):
    """A user whose session ends when the wheel resumes it."""

    def __init__(self, number: int, population: Population) -> None:
        super().__init__(number, 0.0)
        self.population = population

    def resume(self, _: float) -> None:
        self.population.ended(self, self.population.recorder, "done", failed=False)


@pytest.mark.parametrize(
    ("dues", "grain", "sleep"),
    [
        ((), EXACT, MAX_SLEEP),
        ((3.0,), EXACT, MAX_SLEEP),
        ((0.0123,), EXACT, 0.0123),
        ((0.0001,), EXACT, EXACT),
        ((0.0001,), COARSE, COARSE),
    ],
)
async def test_an_engine_sleeps_until_a_user_is_due_but_not_less_than_its_grain(dues, grain, sleep):
    assert asleep(*dues, grain=grain).tick(100.0) == pytest.approx(100.0 + sleep)


async def test_an_engine_wakes_for_a_deadline_and_not_before_it():
    engine = asleep()
    connecting = engine.connections.connecting
    connecting.add(object(), 100.05 - connecting.seconds)

    assert engine.tick(100.0) == pytest.approx(100.05)


@pytest.mark.parametrize(
    ("phase", "at"),
    [
        (Phase(duration=1.0, churn=100.0), 0.0423),
        (Phase(duration=1.0, storm=0.5), 0.0323),
    ],
)
async def test_an_engine_wakes_when_churn_or_a_storm_is_due(phase, at):
    engine = asleep(phases=[(phase, Span(0, 0.0323, 1.0, 0))])

    assert engine.tick(100.0) == pytest.approx(100.0 + at)
    engine.pause()
    assert engine.tick(100.001) == pytest.approx(100.001 + MAX_SLEEP)


async def test_an_engine_wakes_for_users_that_come_back_and_launches_them_when_they_are_due():
    engine = asleep(phases=[(Phase(duration=1.0, keep=True), Span(0, 0.0, 1.0, 0))])
    for number, age in ((7, 0.0123), (8, 0.0456)):
        engine.population.churn.bring_back(age, number)

    assert engine.tick(100.0) == pytest.approx(100.0123)
    assert engine.tick(100.0123) == pytest.approx(100.0456)
    assert engine.scenarios[0].launched == [(7, pytest.approx(100.0123))]
    assert engine.recorder.tally.relaunched == 1


async def test_a_user_that_ends_in_a_tick_comes_back_in_it():
    start = monotonic()
    engine = asleep(phases=[(Phase(duration=99.0, keep=True), Span(0, 0.0, 99.0, 0))], start=start)
    (scenario,) = engine.scenarios
    scenario.wheel.put_at(Ending(7, engine.population), start + 0.001)
    engine.tick(start + 60.0)

    ((number, due),) = scenario.launched
    assert number == 7
    assert start <= due <= monotonic()


@pytest.mark.parametrize(
    ("asked", "part", "grain"),
    [
        ({}, 1 / 256, FINE),
        ({"rate": 500.0, "ping": "none"}, 1.0, FINE),
        ({"rate": 501.0, "ping": "none"}, 1.0, EXACT),
        ({"max": 15_000, "think": 30.0, "rate": 1.0}, 1.0, FINE),
        ({"max": 15_060, "think": 30.0, "rate": 1.0}, 1.0, EXACT),
        ({"rate": 1.0, "sessions": (PythonSession(name="a", file="a.py"),)}, 1.0, EXACT),
        ({"rate": 4999.0, "ping": "none"}, 1.0, EXACT),
        ({"rate": 5000.0, "ping": "none"}, 1.0, COARSE),
        ({"max": 59_999, "think": 30.0}, 1.0, EXACT),
        ({"max": 60_000, "think": 30.0}, 1.0, COARSE),
        ({"rate": 5000.0, "grain": "1ms"}, 1.0, EXACT),
        ({"grain": "5ms"}, 1 / 64, COARSE),
        ({"grain": "50ms"}, 1 / 64, CROWDED),
    ],
)
def test_the_grain_is_exact_unless_a_worker_wakes_too_often_or_the_plan_says_so(asked, part, grain):
    assert grain_of(Plan(**asked), part) == grain


def test_the_grain_follows_a_rate_that_is_asked_for_later():
    slow = Plan(rate=1.0, ping="none")

    assert [grain_of(slow, 0.5, rate) for rate in (0.0, 4000.0, 10_000.0)] == [FINE, EXACT, COARSE]


async def test_an_engine_wakes_for_users_that_think():
    async with load(plan(max=1, think=0.05, loops=3)) as running:
        await until(lambda: running.tally.opened)
        (connection,) = running.population.connections
        now = connection.first_ping_due - 0.015
        assert running.engine.tick(now) == pytest.approx(now + 0.015)


@pytest.mark.parametrize(
    ("ping", "pings", "messages"), [("protocol", 3, 0), ("app", 3, 3), ("none", 0, 0)]
)
async def test_the_built_in_sessions_take_as_many_turns_as_the_plan_says(ping, pings, messages):
    async with load(plan(max=1, ping=ping, loops=3, think=0.02)) as running:
        assert (await running.over()).closed == {"done": 1}
        assert (running.tally.pings, running.tally.messages_sent) == (pings, messages)


# Reassigned users.


async def test_reassigned_users_are_launched_again_or_for_the_first_time():
    async with load(plan(max=20), empty_share=True) as running:
        running.engine.reassign(Reassignment(Unfinished(Share(), 4, 10), at=0.0, pace=500.0))
        await until(lambda: running.tally.opened == 16)
        assert running.tally.launched == 16
        assert running.tally.relaunched == 6
        assert running.engine.held().coming == 0
        assert running.ledger.breaches(running.engine.held()) == []


async def test_users_that_come_again_wait_for_their_time_and_are_held_as_coming():
    async with load(plan(max=20), empty_share=True) as running:
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 20), at=3600.0, pace=500.0))
        await asyncio.sleep(100 * MS)
        assert running.engine.held() == Held(coming=20)
        assert not running.engine.finished


async def test_reassigned_users_whose_time_has_passed_come_at_the_pace_and_are_late():
    async with load(plan(max=20, rate=10_000.0), late=2.0, empty_share=True) as running:
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 0), at=2.0, pace=50.0))
        await until(lambda: running.tally.launched >= 5)
        assert running.tally.launched < 20
        assert running.tally.late == running.tally.launched
        assert running.recorder.delays.late_by < longest_lag(running) / 2
        assert running.tally.relaunched == 0
        assert running.tally.lag.summary()["p50"] >= 1900


async def test_reassigned_users_come_beside_those_of_the_share():
    async with load(plan(max=20)) as running:
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 20), at=0.0, pace=500.0))
        await until(lambda: running.tally.opened == 40)
        assert running.tally.relaunched == 20


async def test_a_drain_launches_no_reassigned_user():
    async with load(plan(max=20), empty_share=True) as running:
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 10), at=3600.0, pace=500.0))
        running.engine.drain(monotonic())
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 10), at=0.0, pace=500.0))
        await until(lambda: running.engine.finished)
        assert running.tally.launched == 0


async def test_a_pause_puts_off_reassigned_users_too():
    async with load(plan(max=20), empty_share=True) as running:
        running.engine.pause()
        running.engine.reassign(Reassignment(Unfinished(Share(), 0, 10), at=0.0, pace=10_000.0))
        await asyncio.sleep(100 * MS)
        assert running.tally.launched == 0
        running.engine.resume(3600.0)
        await asyncio.sleep(100 * MS)
        assert (running.tally.launched, running.engine.held().coming) == (0, 10)
        running.engine.resume(0.0)
        await until(lambda: running.tally.opened == 20)
        assert running.tally.relaunched == 10


async def test_users_follow_a_change_of_the_plan():
    """Of 100 users at one a second five come at once, and no more."""
    async with load(plan(rate=1.0, max=100)) as running:
        await until(lambda: running.tally.opened == 1)
        running.engine.schedule = steered(running.plan, ())
        running.engine.steer(PlanChange(0.01, 1, max=6))
        running.engine.steer(PlanChange(0.02, 1, rate=1000.0))
        await until(lambda: running.tally.opened == 6)
        assert running.engine._arrivals.over
        assert running.tally.launched == 6


async def test_a_change_starts_nobody_in_a_drain():
    async with load(plan(rate=1.0, max=100)) as running:
        await until(lambda: running.tally.opened == 1)
        running.engine.schedule = steered(running.plan, ())
        running.engine.drain(monotonic())
        running.engine.steer(PlanChange(0.01, 1, rate=1000.0))
        await until(lambda: running.engine.finished)
        assert running.tally.launched == 1
