"""Connections that come faster than a port accepts them."""

import asyncio
import resource
import socket
from contextlib import asynccontextmanager

import pytest

from loadgen.http.acceptor import MIN_PAUSE, Acceptor, listeners
from loadgen.http.ratelimit import PortRates
from loadgen.values import Endpoint
from tests.unit.wire_ends import until

LOOPBACK = Endpoint("127.0.0.1", 0)


class Accepted:
    """An acceptor, and what it accepted."""

    def __init__(self, sockets, rates, exempt):
        self.sockets = []
        self.hosts = []
        self.errors = []
        self.endpoint = sockets[0].getsockname()
        self.acceptor = Acceptor(sockets, rates, self.take, self.errors.append, exempt)
        self.clients = []

    def take(self, sock, host):
        """Keeps a connection."""
        self.sockets.append(sock)
        self.hosts.append(host)

    def dial(self):
        """Connects; the kernel does it, before the connection is accepted."""
        client = socket.create_connection(self.endpoint, 20)
        client.setblocking(False)
        self.clients.append(client)
        return client


@asynccontextmanager
async def accepting(rates, exempt=lambda _: True):
    accepted = Accepted(await listeners(LOOPBACK), rates, exempt)
    yield accepted
    accepted.acceptor.close()
    for sock in (*accepted.sockets, *accepted.clients):
        sock.close()


async def closed(client):
    """True when the other side closes the connection; False when it is still open."""
    try:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 1), 20) == b""
    except ConnectionResetError:
        return True


async def test_connections_are_accepted_with_their_addresses():
    async with accepting(PortRates(10, 10)) as accepted:
        accepted.dial()
        await until(lambda: accepted.sockets)

        assert accepted.hosts == ["127.0.0.1"]
        assert accepted.errors == []


async def test_connections_beyond_the_rate_wait_and_none_is_refused():
    async with accepting(PortRates(1, 20)) as accepted:
        for _ in range(30):
            accepted.dial()
        await until(lambda: accepted.sockets)
        at_once = len(accepted.sockets)
        await until(lambda: len(accepted.sockets) == 30)

        assert at_once < 30


async def test_connections_of_an_address_beyond_its_own_rate_are_closed():
    async with accepting(PortRates(3, 1000), exempt=lambda _: False) as accepted:
        clients = [accepted.dial() for _ in range(40)]
        for client in clients[20:]:
            assert await closed(client)

        assert 3 <= len(accepted.sockets) < 20


async def test_no_error_ends_the_accepting_or_keeps_it_busy():
    async with accepting(PortRates(10, 10)) as accepted:
        client = socket.socket()
        accepted.clients.append(client)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            client.connect(accepted.endpoint)
            await until(lambda: accepted.errors)
            failed = len(accepted.errors)
            await asyncio.sleep(10 * MIN_PAUSE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert (failed, len(accepted.errors)) == (1, 1)
        await until(lambda: accepted.sockets)

        assert accepted.errors[0].strerror == "Too many open files"


async def test_a_port_that_is_taken_leaves_nothing_open():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            await listeners(Endpoint("localhost", taken.getsockname()[1]))
