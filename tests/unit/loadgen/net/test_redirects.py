"""Redirects: where they lead, and connections on their way, on real sockets."""

import asyncio
import socket
from contextlib import ExitStack, contextmanager
from functools import partial
from time import monotonic

import pytest

from loadgen.errors import PlanError
from loadgen.net.connection import Connection
from loadgen.net.connections import Connections
from loadgen.net.dialer import Dialer
from loadgen.net.ports import SourcePorts
from loadgen.net.redirects import MAX_PLACES, Leg, Redirects, elsewhere, next_url
from loadgen.net.route import Route
from loadgen.stats.recorder import Recorder
from loadgen.timers import Deadlines
from loadgen.wire import Destination, Place, Sources
from tests.unit.wire_ends import Diary, FarSide, until


def redirect(location, status="302 Found"):
    """The head of a redirect."""
    return f"HTTP/1.1 {status}\r\nLocation: {location}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/new?a=1", "ws://rt.test:81/new?a=1"),
        ("new", "ws://rt.test:81/v1/new"),
        ("?a=2", "ws://rt.test:81/v1/old?a=2"),
        ("//other.test/x", "ws://other.test/x"),
        ("http://other.test/x#part", "ws://other.test/x"),
        ("https://other.test", "wss://other.test"),
        ("wss://[::1]:444/x", "wss://[::1]:444/x"),
    ],
)
def test_a_location_is_read_beside_the_url_that_was_asked_for(location, url):
    assert next_url("ws://rt.test:81/v1/old", redirect(location)) == url


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("", "no Location"),
        ("ftp://other.test/", "not a WebSocket URL"),
        ("ws://u:s3cr3t@other.test/", "names a user"),
        ("ws://[::1/", "no URL"),
        ("ws://other.test/a b", "blank or control character"),
        ("ws://other.test:0/", "port 0"),
        ("ws+unix:///run/docker.sock:/", "its Location is a Unix socket"),
    ],
)
def test_another_location_leads_nowhere(location, why):
    with pytest.raises(PlanError) as caught:
        next_url("ws://rt.test/", redirect(location))
    assert why in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_another_place_gets_no_credentials_and_no_host():
    headers = (("AUTHORIZATION", "a"), ("cookie", "b"), ("Host", "c"), ("X-Other", "d"))

    assert elsewhere(headers) == (("X-Other", "d"),)


class Worker:
    """The redirects of a route to a listener, and the places that they want."""

    def __init__(self, listener, stack):
        self.recorder = Recorder(seed=1)
        self.closing = Deadlines(5.0)
        self.all = Connections((), self.closing, 5.0)
        self.wanted = []
        self.redirects = Redirects(self.all, self.wanted.append, self.route_to)
        self.pairs = SourcePorts(("127.0.9.4",), range(22_100, 22_110))
        self._stack = stack
        self.route = self.route_for(listener, "/old")
        self.all.use(self.route.dialer)

    def route_for(self, listener, resource):
        """A route to a listener."""
        host, port = listener.getsockname()
        dialer = Dialer(asyncio.get_running_loop(), (host, port), self.pairs, self.recorder)
        self._stack.callback(dialer.close)
        url = f"ws://{host}:{port}{resource}"
        route = Route(url, f"{host}:{port}", resource, dialer, self.recorder, self.closing)
        route.follow = partial(Leg, self.redirects)
        return route

    def route_to(self, to):
        """A route to a destination, which is a listener of the test."""
        return self.route_for(self.place, to.resource)

    def dial(self):
        """Returns a connection that was dialed just now, and its diary."""
        diary = Diary()
        ended = diary.ended
        diary.ended = lambda connection, reason: (
            self.all.ended(connection, reason),
            ended(connection, reason),
        )
        diary.opened = lambda connection, now: (
            self.all.opened(connection, now, now),
            diary.entries.append("opened"),
        )
        terms = self.route.terms(headers=(("Cookie", "a=1"),))
        connection = Connection(self.recorder, terms, diary)
        self.all.dial(connection, self.route.dialer, monotonic(), planned=True)
        return connection, diary


@contextmanager
def worker():
    """A worker, the listener of its target, and one of another place."""
    with ExitStack() as stack:
        target, place = (
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
        )
        target.setblocking(False)
        place.setblocking(False)
        found = Worker(target, stack)
        found.place = place
        yield found, target, place


async def accepted(listener):
    """Returns the server's end of the oldest connection, and the request that came."""
    loop = asyncio.get_running_loop()
    sock, _ = await asyncio.wait_for(loop.sock_accept(listener), 5)
    return sock, (await asyncio.wait_for(loop.sock_recv(sock, 65536), 5)).decode()


async def send_away(listener, location, status="302 Found"):
    """Answers the oldest connection with a redirect; returns its request."""
    sock, request = await accepted(listener)
    with sock:
        sock.sendall(redirect(location, status))
    return request


def destination(load):
    """The destination of the other place, as an agent resolves it."""
    host, port = load.place.getsockname()
    sources = Sources(("127.0.9.4",), 22_100, 22_110)
    url = f"ws://{host}:{port}/"
    return Destination(url, host, port, host, f"{host}:{port}", "/", False, sources)


async def test_a_redirect_within_the_server_needs_no_place():
    with worker() as (load, target, _):
        connection, diary = load.dial()
        assert (await send_away(target, "/new")).startswith("GET /old HTTP/1.1\r\n")
        far, request = await accepted(target)
        with far:
            assert request.startswith("GET /new HTTP/1.1\r\n")
            assert "\r\nCookie: a=1\r\n" in request
            assert load.wanted == []
            assert load.recorder.tally.redirects == 1
            side = FarSide(far)
            side.protocol.receive_data(request.encode())
            (event,) = side.protocol.events_received()
            side.protocol.send_response(side.protocol.accept(event))
            await side.flush()
            await until(lambda: diary.entries == ["opened"])
            connection.abort("drained")
            await until(diary.over.is_set)
        assert load.pairs.in_use == 0
        assert load.recorder.tally.failed == {}


async def test_connections_wait_for_a_place_that_is_asked_for_once():
    with worker() as (load, target, place):
        to = destination(load)
        dialed = [load.dial() for _ in range(3)]
        for _ in dialed:
            await send_away(target, f"http://127.0.0.1:{place.getsockname()[1]}/x?a=1")
        await until(lambda: load.pairs.in_use == 0)
        assert load.wanted == [to.url]
        load.all.abort(dialed[0][0], "timeout")  # one can't wait any longer
        load.redirects.found(Place(to.url, to))
        for _ in dialed[1:]:
            far, request = await accepted(place)
            far.close()
            assert request.startswith("GET /x?a=1 HTTP/1.1\r\n")
            assert "Cookie" not in request
        for _, diary in dialed:
            await until(diary.over.is_set)
        assert load.recorder.tally.failed == {"timeout": 1, "reset": 2}
        assert load.recorder.tally.redirects == 2

        load.dial()  # the place is known by now
        await send_away(target, to.url)
        far, _ = await accepted(place)
        far.close()
        assert load.wanted == [to.url]


async def test_a_place_that_is_refused_ends_all_that_go_there():
    with worker() as (load, target, _):
        first, second = load.dial()[1], load.dial()[1]
        for _ in range(2):
            await send_away(target, "wss://other.test/x")
        await until(lambda: bool(load.wanted))
        load.redirects.found(Place("wss://other.test:443/", refusal="refuses target other.test"))
        await until(lambda: first.over.is_set() and second.over.is_set())
        assert load.recorder.tally.failed == {"redirect_refused": 2}
        assert load.recorder.samples["redirect_refused"] == (
            f"user 0: {load.route.url} redirects to wss://other.test/x, and the agent refuses"
            " target other.test\n"
        )


async def test_places_are_bounded_in_number():
    with worker() as (load, target, _):
        for number in range(MAX_PLACES):
            load.redirects.found(Place(f"ws://host{number}.test:80/", refusal="refuses it"))
        _, diary = load.dial()
        await send_away(target, "ws://other.test/")
        await until(diary.over.is_set)
        assert diary.entries == ["redirect_refused"]
        assert load.wanted == []
        assert "to 64 places already" in load.recorder.samples["redirect_refused"]


async def test_redirects_in_a_row_are_bounded_in_number():
    with worker() as (load, target, _):
        _, diary = load.dial()
        for _ in range(6):
            await send_away(target, "/old", "308 Permanent Redirect")
        await until(diary.over.is_set)
        assert diary.entries == ["http_308"]
        assert load.recorder.tally.redirects == 5
        assert "only 5 redirects in a row are followed" in load.recorder.samples["http_308"]


async def test_a_connection_that_has_to_end_while_it_leaves_goes_nowhere():
    with worker() as (load, target, _):
        connection, diary = load.dial()
        sock, _ = await accepted(target)
        with sock:
            connection.data_received(redirect("/new"))
            connection.cut("drained")
            await until(diary.over.is_set)
        assert diary.entries == ["drained"]
        assert load.recorder.tally.redirects == 0
        assert load.pairs.in_use == 0


async def test_a_redirect_that_leads_nowhere_says_why():
    with worker() as (load, target, _):
        _, diary = load.dial()
        await send_away(target, "ftp://other.test/")
        await until(diary.over.is_set)
        assert diary.entries == ["http_302"]
        assert "can't be followed: target 'ftp" in load.recorder.samples["http_302"]


@pytest.mark.parametrize("status", ["300 Choices", "304 Not Modified", "403 Forbidden"])
async def test_another_status_is_no_redirect(status):
    with worker() as (load, target, _):
        _, diary = load.dial()
        await send_away(target, "/new", status)
        await until(diary.over.is_set)
        assert diary.entries == [f"http_{status[:3]}"]
