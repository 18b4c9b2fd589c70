"""The routes of a worker, their dialers, and the source ports that they share."""

import asyncio
import socket
from time import monotonic

from loadgen.net.connection import Connection
from loadgen.net.dialer import Dialer
from loadgen.net.dialers import Dialers
from loadgen.net.route import Route
from loadgen.net.unix import UnixDialer
from loadgen.plan.plan import Plan
from loadgen.plan.shares import Share
from loadgen.plan.transport import Transport
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.wire import NO_SOURCES, Destination, Job, Sources, Way
from loadgen.worker.routes import Routes
from tests.unit.wire_ends import TERMS, Diary, until

RECORDER = Recorder(seed=1)
SOURCES = Sources(("127.0.9.8",), 24_600, 24_610)


def destination(
    url: str, *addresses: str, name: str = "target", port=1, secure=False
) -> Destination:
    """A URL whose host has these addresses."""
    ways = tuple(Way(one, NO_SOURCES if one.startswith("/") else SOURCES) for one in addresses)
    return Destination(url, ways, port=port, name=name, host=name, resource="/", secure=secure)


def routes(*destinations: Destination, **transport) -> tuple[Routes, list[Route]]:
    """The maker of the routes of a job that starts in an hour, and the routes."""
    job = Job(
        plan=Plan(transport=Transport(**transport)),
        share=Share(),
        start=monotonic() + 3600,
        destinations=destinations,
        most_open=100,
    )
    making = Routes(job, RECORDER, asyncio.get_running_loop(), Deadlines(5.0))
    return making, [making.to(to) for to in destinations]


async def test_the_dialer_is_that_of_what_the_target_has():
    _, (one, several, unix) = routes(
        destination("ws://a/", "127.0.0.1"),
        destination("ws://b/", "127.0.0.1", "127.0.0.2"),
        destination("ws+unix:///run/app.sock:/", "/run/app.sock"),
    )
    kinds = [type(route.dialer) for route in (one, several, unix)]
    assert kinds == [Dialer, Dialers, UnixDialer]
    _, (again,) = routes(destination("ws://a/", "127.0.0.1"), resolve=1.0)
    assert isinstance(again.dialer, Dialers)


async def test_urls_of_one_server_share_its_dialer_unless_tls_has_another_name():
    both = "127.0.0.1", "127.0.0.2"
    _, (first, second, other, secure, secured) = routes(
        destination("ws://a/1", *both),
        destination("ws://b/2", *both, name="b"),
        destination("ws://a/3", "127.0.0.1"),
        destination("wss://a/4", *both, secure=True),
        destination("wss://b/5", *both, name="b", secure=True),
    )
    assert first.dialer is second.dialer
    assert len({id(route.dialer) for route in (first, other, secure, secured)}) == 4


async def test_dialers_to_one_address_share_its_source_ports():
    """The second connection takes another pair than that of the other dialer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        _, found = routes(
            destination("ws://a/", "127.0.0.1", port=port),
            destination("ws://b/", "127.0.0.1", "127.0.0.2", port=port),
        )
        try:
            await dialed(found[0])
            await dialed(found[1])  # by way of its other address, which refuses, or at once
            for port in (24_600, 24_601):
                sock, caller = listener.accept()
                sock.close()
                assert caller == ("127.0.9.8", port)
        finally:
            for route in found:
                route.dialer.close()


async def test_an_order_changes_the_addresses_of_routes_that_may_change():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        making, (route,) = routes(destination("ws://a/", "127.0.0.2", port=port), resolve=1.0)
        try:
            making.use([destination("ws://a/", "127.0.0.1", port=port)])
            await dialed(route)
        finally:
            route.dialer.close()


async def dialed(route: Route) -> None:
    """Waits until a connection on a route stands."""
    connection = Connection(RECORDER, TERMS, Diary())
    route.dialer.dial(connection, monotonic())
    await until(lambda: connection.transport is not None)
