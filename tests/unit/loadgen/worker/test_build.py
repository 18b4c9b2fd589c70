"""The engine that a worker builds from its job."""

import asyncio
import socket
from time import monotonic

import pytest
from msgspec.structs import replace

from loadgen.errors import PlanError
from loadgen.net.connection import Connection
from loadgen.plan.plan import Plan
from loadgen.plan.publish import Publish
from loadgen.plan.reassign import Reassignment, Unfinished
from loadgen.plan.script import Connect, Match, Send
from loadgen.plan.sessions import Loop, PythonSession, Script
from loadgen.plan.shares import NO_SHARE, Share
from loadgen.plan.transport import Transport
from loadgen.sessions.loop import LoopScenario
from loadgen.sessions.scenario import NO_SETUP
from loadgen.sessions.session_scenario import SessionScenario
from loadgen.stats.recorder import Recorder
from loadgen.timers import Alarm
from loadgen.wire import Destination, Job, Sources, Way
from loadgen.worker.build import engine_for
from loadgen.worker.engine import Engine
from loadgen.worker.routes import preamble_of
from tests.unit.wire_ends import TERMS, Diary

SCRIPT = Script(name="script", steps=(Connect(),))
LOOP = Loop(name="loop")


def destination(url: str, port: int, *, secure: bool = False) -> Destination:
    """A server of the plan, as an agent resolved it."""
    sources = Sources(("127.0.9.8",), 24_500, 24_510)
    return Destination(
        url=url,
        ways=(Way("127.0.0.1", sources),),
        port=port,
        name="target",
        host=f"target:{port}",
        resource="/",
        secure=secure,
    )


ONE = destination("ws://target:1/", 1)


def built(*destinations: Destination, share: Share | None = None, again=(), **plan) -> Engine:
    """The engine of a job that starts in an hour."""
    job = Job(
        plan=Plan(**{"rate": 10.0, "max": 100} | plan),
        share=share or Share(),
        start=monotonic() + 3600,
        destinations=destinations or (ONE,),
        most_open=100,
        reassignments=again,
    )
    return engine_for(job, Recorder(seed=1), asyncio.get_running_loop(), Alarm(float))


def routes_of(engine: Engine, count: int) -> list:
    """The routes of the first users."""
    return [engine.scenarios[0].route_of(number) for number in range(count)]


async def test_each_kind_of_session_has_its_scenario_in_the_plans_order():
    loop, script = built(sessions=(LOOP, SCRIPT)).scenarios

    assert isinstance(loop, LoopScenario)
    assert isinstance(script, SessionScenario)
    assert (script.name, script.route(ONE.url).url) == ("script", ONE.url)
    assert loop.population is script.population
    with pytest.raises(ValueError, match="not one of the plan's targets"):
        script.route("ws://else/")


async def test_routes_to_one_server_share_its_dialer_and_so_its_ports():
    same = destination("ws://target:1/else", 1)
    other = destination("ws://target:2/", 2)
    engine = built(ONE, same, other, sessions=(SCRIPT,))
    first, second, third = (engine.scenarios[0].route(to.url) for to in (ONE, same, other))

    assert first.dialer is second.dialer
    assert first.dialer is not third.dialer


async def test_targets_beyond_one_proxy_share_its_ports():
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        port = proxy.getsockname()[1]
        beyond = [
            replace(destination(f"ws://{name}:1/", port), name=name, asked=name, asked_port=1)
            for name in ("a", "b")
        ]
        transport = Transport(proxy=f"http://127.0.0.1:{port}")
        engine = built(*beyond, sessions=(SCRIPT,), transport=transport)
        first, second = (engine.scenarios[0].route(to.url).dialer for to in beyond)
        assert first is not second
        for dialer, source in ((first, 24_500), (second, 24_501)):
            connection = Connection(Recorder(seed=1), TERMS, Diary())
            dialer.dial(connection, monotonic())
            sock, caller = proxy.accept()
            sock.close()
            assert caller == ("127.0.9.8", source)
            dialer.cancel(connection)
            dialer.close()


@pytest.mark.parametrize(
    ("to", "line"),
    [
        ({}, b"TCP4 10.0.0.8 127.0.0.1 1031 9"),
        ({"asked": "10.1.2.3", "asked_port": 443}, b"TCP4 10.0.0.8 10.1.2.3 1031 443"),
        ({"asked": "::1", "asked_port": 443}, b"TCP6 fd00::8 ::1 1031 443"),
        ({"asked": "rt.test", "asked_port": 443}, b"TCP4 10.0.0.8 0.0.0.0 1031 443"),
    ],
)
def test_the_proxy_protocol_names_the_targets_own_address(to, line):
    preamble = preamble_of(1, "127.0.0.1", replace(destination("ws://a/", 9), **to))

    assert preamble(7) == b"PROXY " + line + b"\r\n"
    assert preamble_of(0, "127.0.0.1", ONE) is None


async def test_the_plans_headers_are_in_every_request():
    transport = Transport(
        headers={"X-Project": "console"}, origin="http://here", subprotocols=("mqtt",)
    )
    (route,) = routes_of(built(transport=transport), 1)
    request = route.terms().handshake.request(b"key")

    assert b"\r\nX-Project: console\r\nOrigin: http://here\r\n" in request
    assert b"\r\nSec-WebSocket-Protocol: mqtt\r\n" in request


async def test_reassigned_users_arrive_beside_those_of_the_share():
    lost = Reassignment(Unfinished(Share(), 4, 10), at=0.0, pace=500.0)
    engine = built(share=NO_SHARE, again=(lost,))

    assert engine.held().coming == 6
    assert not engine.finished


@pytest.mark.parametrize(
    ("plan", "to", "message"),
    [
        (
            {"transport": Transport(tls_ciphers="none")},
            destination("wss://t/", 1, secure=True),
            "tls_ciphers",
        ),
        (
            {
                "sessions": (
                    Script(
                        name="bad",
                        steps=(Connect(), Send(text="x", ack=True, match=(Match(pattern="("),))),
                    ),
                )
            },
            ONE,
            "session 'bad'",
        ),
    ],
)
async def test_a_plan_that_can_not_be_played_raises(plan, to, message):
    with pytest.raises(PlanError, match=message):
        built(to, **plan)


async def test_only_the_connections_of_subscribed_sessions_are_measured():
    mine, other = Loop(name="mine"), Loop(name="other")
    everyone = built(sessions=(mine, other), publish=Publish())
    some = built(sessions=(mine, other), publish=Publish(sessions=("other",)))
    nobody = built(sessions=(mine, other))

    assert [scenario.receives for scenario in everyone.scenarios] == [True, True]
    assert [scenario.receives for scenario in some.scenarios] == [False, True]
    assert [scenario.receives for scenario in nobody.scenarios] == [False, False]
    assert nobody.recorder.deliveries is None


@pytest.mark.parametrize("by", ["http", "external", "session"])
async def test_sessions_publish_only_where_the_plan_says_so(by):
    session = PythonSession(name="a", file="a.py", source="async def session(user): ...")
    deliveries = built(sessions=(session,), publish=Publish(by=by)).recorder.deliveries

    assert bool(deliveries.publisher) == (by == "session")
    assert deliveries.grace == Publish().grace


async def test_users_of_each_scenario_have_the_plans_parameters():
    loop, script = built(sessions=(LOOP, SCRIPT), params={"room": "lobby"}).scenarios

    assert loop.params["room"] == script.params["room"] == "lobby"


async def test_users_have_what_setup_returned_and_know_when_the_plan_has_none():
    job = Job(Plan(max=1), Share(), monotonic() + 3600, (ONE,), 1, data=b'{"room": [1]}')
    recorder, loop = Recorder(seed=1), asyncio.get_running_loop()
    (scenario,) = engine_for(job, recorder, loop, Alarm(float)).scenarios

    assert scenario.data == {"room": [1]}
    assert built().scenarios[0].data is NO_SETUP
