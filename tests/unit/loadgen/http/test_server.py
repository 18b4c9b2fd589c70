"""A port among slow clients, crowds and floods.

It serves those within the limits.
"""

import asyncio
import re
import resource
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from loadgen.http.ratelimit import PortRates
from loadgen.http.server import KNOWN, STRANGER, HttpLimits, HttpServer, Sender
from loadgen.values import Endpoint
from tests.unit.timing import MS
from tests.unit.wire_ends import until

LONG = b"x" * (32 << 20)
"""An answer that is too long for the kernel's buffers."""
ASK = b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n"
ASK_AS_OWNER = b"GET /healthz HTTP/1.1\r\nHost: here\r\nOwner: yes\r\n\r\n"


def sender_of(request):
    """Takes a request with a certain header for the owner's."""
    return Sender("owner", known=True) if "Owner" in request.headers else STRANGER


class Port:
    """A port with limits, and what a client does with it."""

    def __init__(self, limits):
        app = web.Application()
        app.router.add_get("/healthz", self.health)
        app.router.add_get("/long", self.long)
        app.router.add_post("/body", self.body)
        app.router.add_post("/refused", self.refuse)
        rates = {"owner": PortRates(1000, 1000)} | limits.pop(
            "requests", {"": PortRates(1000, 1000)}
        )
        self.server = HttpServer(app, HttpLimits(**limits, requests=rates), sender_of)
        self.endpoint = None
        self.bodies = 0
        """Requests of /body whose handlers have begun."""
        self.writers = []

    async def health(self, request):
        return web.Response(text="ok" if request[KNOWN] else "OK")

    async def refuse(self, request):
        return web.Response(status=403)

    async def long(self, _):
        return web.Response(body=LONG)

    async def body(self, request):
        self.bodies += 1
        return web.Response(text=str(len(await request.read())))

    async def dial(self, sent=b""):
        """A connection on which some bytes were sent: its reader and writer."""
        reader, writer = await asyncio.open_connection(*self.endpoint)
        self.writers.append(writer)
        writer.write(sent)
        return reader, writer


@asynccontextmanager
async def listening(tls=None, **limits):
    """A port with such limits; its connections end with the block."""
    port = Port(limits)
    port.endpoint = await port.server.open("--listen", Endpoint("127.0.0.1", 0), tls)
    try:
        yield port
    finally:
        for writer in port.writers:
            writer.transport.abort()
        await port.server.close()


def certified():
    """Returns the TLS contexts of a port and of its client."""
    authority = trustme.CA()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    return ours, theirs


def descriptors():
    """Returns how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def at_most_descriptors(limit):
    """Lets this process have that many descriptors as long as the block lasts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_descriptor_left():
    """Leaves this process without another descriptor as long as the block lasts."""
    with open("/dev/null") as last, at_most_descriptors(3):
        assert last.fileno() >= 3
        yield


async def ended(reader):
    """Waits for the end of a connection; returns what came before it."""
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def ask(reader, writer, request=ASK):
    """Sends a request; returns the status of its answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
    return int(head.split()[1])


async def test_a_connection_without_a_whole_request_is_aborted():
    async with listening(idle_s=300 * MS) as port:
        silent, _ = await port.dial()
        slow, _ = await port.dial(ASK[:-2])

        assert (await ended(silent), await ended(slow)) == (b"", b"")


async def test_a_connection_with_a_request_now_and_then_stays():
    async with listening(idle_s=500 * MS) as port:
        reader, writer = await port.dial()
        for _ in range(8):
            assert await ask(reader, writer) == 200
            await asyncio.sleep(100 * MS)


async def test_a_body_that_does_not_come_is_refused_and_its_connection_ends():
    async with listening(body_s=200 * MS, idle_s=5) as port:
        reader, _ = await port.dial(
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc"
        )
        answer = await ended(reader)

        assert b"408" in answer.split(b"\r\n")[0]
        assert b"did not come within %g s" % (200 * MS) in answer


async def test_a_connection_that_does_not_read_its_answer_is_aborted():
    async with listening(idle_s=300 * MS) as port:
        reader, _ = await port.dial(b"GET /long HTTP/1.1\r\nHost: here\r\n\r\n")
        await reader.readuntil(
            b"\r\n\r\n"
        )  # and from here on not a byte: the reader pauses its transport
        await asyncio.sleep(1500 * MS)

        assert len(await ended(reader)) < len(LONG)


async def test_the_connection_that_is_idle_for_longest_is_replaced():
    async with listening(connections=3, idle_s=60) as port:
        agent = await port.dial()
        assert await ask(*agent) == 200
        crowd = []
        for _ in range(10):
            crowd.append(await port.dial())
            assert await ask(*agent) == 200, "a client that sends requests keeps its connection"
        newcomer = await port.dial()

        assert await ask(*newcomer) == 200
        assert [await ended(reader) for reader, _ in crowd[:9]] == [b""] * 9


async def test_while_all_connections_are_busy_a_new_one_is_refused():
    async with listening(connections=2, idle_s=60, body_s=60) as port:
        head = b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
        busy = [await port.dial(head) for _ in range(2)]
        await until(lambda: port.bodies == 2)
        late, _ = await port.dial(ASK)

        assert await ended(late) == b""
        for reader, writer in busy:
            writer.write(b"ab")
            assert b"200" in await reader.readline()


async def test_a_stranger_beyond_the_rate_is_refused_and_its_connection_ends():
    async with listening(requests={"": PortRates(2, 2)}) as port:
        reader, _ = await port.dial(ASK * 30)
        answers = await ended(reader)

        statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
        assert 3 <= len(statuses) < 30
        assert set(statuses[:-1]) == {b"200"}
        assert statuses[-1] == b"429"
        assert b"Retry-After: 1\r\n" in answers


async def test_the_owner_is_served_whatever_strangers_spend():
    async with listening(requests={"": PortRates(1, 1)}) as port:
        owner = await port.dial()
        refused = 0
        for _ in range(40):
            stranger = await port.dial()
            refused += await ask(*stranger) == 429
            assert await ask(*owner, ASK_AS_OWNER) == 200

        assert refused > 20


async def test_a_known_sender_keeps_its_connection_when_it_is_refused():
    async with listening(requests={"owner": PortRates(3, 3), "": PortRates(0.001, 1)}) as port:
        owner = await port.dial()
        statuses = {await ask(*owner, ASK_AS_OWNER) for _ in range(30)}
        refused = b"POST /refused HTTP/1.1\r\nHost: here\r\nOwner: yes\r\n\r\n"

        assert statuses == {200, 429}
        assert await ask(*owner, refused) in (403, 429)
        assert await ask(*owner, ASK_AS_OWNER) in (200, 429)


async def test_nothing_more_is_read_of_a_stranger_that_is_refused():
    async with listening() as port:
        reader, writer = await port.dial(
            b"POST /refused HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000\r\n\r\n"
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        sent = 0
        with suppress(ConnectionError):
            while sent < 1_000_000_000:
                writer.write(bytes(1 << 20))
                await asyncio.wait_for(writer.drain(), 20)
                sent += 1 << 20

        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"Connection: close\r\n" in answer
        assert sent < 100 << 20, "the kernel's buffers at most"


async def test_a_port_may_be_closed_twice():
    async with listening() as port:
        await port.server.close()


async def test_strangers_make_room_before_the_owner_does():
    async with listening(connections=4, idle_s=60) as port:
        owners = [await port.dial() for _ in range(2)]
        for owner in owners:
            assert await ask(*owner, ASK_AS_OWNER) == 200
        crowd = [await port.dial() for _ in range(20)]
        for stranger in crowd[-2:]:
            assert await ask(*stranger) == 200

        assert [await ended(reader) for reader, _ in crowd[:-2]] == [b""] * 18
        for owner in owners:
            assert await ask(*owner, ASK_AS_OWNER) == 200


async def test_connections_without_a_tls_handshake_leave_room_for_others():
    ours, theirs = certified()
    async with listening(tls=ours, handshakes=5, idle_s=60) as port:
        silent = [await port.dial() for _ in range(60)]
        reader, writer = await asyncio.open_connection(
            *port.endpoint, ssl=theirs, server_hostname="localhost"
        )
        port.writers.append(writer)

        assert await ask(reader, writer) == 200
        assert [await ended(one) for one, _ in silent[:50]] == [b""] * 50


async def test_a_tls_handshake_has_its_time(monkeypatch):
    monkeypatch.setattr("loadgen.http.server.TLS_TIMEOUT", 200 * MS)
    ours, _ = certified()
    async with listening(tls=ours, idle_s=60) as port:
        silent, _ = await port.dial()
        slow, _ = await port.dial(b"\x16\x03\x01\x02\x00")

        assert (await ended(silent), await ended(slow)) == (b"", b"")


async def test_a_port_without_descriptors_keeps_its_clients_and_takes_others_later():
    async with listening(idle_s=60) as port:
        agent = await port.dial()
        assert await ask(*agent, ASK_AS_OWNER) == 200
        waiting = socket.socket()
        with no_descriptor_left():
            waiting.connect(port.endpoint)
            for _ in range(5):
                assert await ask(*agent, ASK_AS_OWNER) == 200
                await asyncio.sleep(20 * MS)
        reader, writer = await asyncio.open_connection(sock=waiting)
        port.writers.append(writer)

        assert await ask(reader, writer) == 200


async def test_half_of_the_descriptors_are_left_for_files():
    port = Port({"idle_s": 60})
    with at_most_descriptors(descriptors() + 60):
        port.endpoint = await port.server.open("--listen", Endpoint("127.0.0.1", 0))
    try:
        crowd = []
        for _ in range(40):
            crowd.append(await port.dial())
            assert await ask(*crowd[-1]) == 200
        assert [await ended(reader) for reader, _ in crowd[:10]] == [b""] * 10
        for stranger in crowd[-20:]:
            assert await ask(*stranger) == 200
    finally:
        for writer in port.writers:
            writer.transport.abort()
        await port.server.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\n"
        + b"".join(b"X-%d: y\r\n" % n for n in range(200))
        + b"\r\n",
    ],
    ids=["line", "header", "headers"],
)
async def test_a_head_beyond_the_limits_is_refused(head):
    async with listening() as port:
        reader, _ = await port.dial(head)
        answer = await ended(reader)

        assert re.match(rb"HTTP/1\.[01] 400 ", answer)


async def test_a_compressed_body_is_not_decompressed():
    async with listening() as port:
        compressed = b"\x1f\x8b\x08" + bytes(1000)
        head = (
            b"POST /body HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\nContent-Length:"
            b" %d\r\n\r\n" % len(compressed)
        )
        reader, _ = await port.dial(head + compressed)

        assert b"200" in await reader.readline()
