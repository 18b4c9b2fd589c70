"""Plain transports on real TCP pairs: order, ends and reused descriptors."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from loadgen.net.transport import PlainTransport, Transports
from tests.unit.wire_ends import tcp_pair, until


class Listener:
    """A protocol that keeps its bytes and its ends."""

    def __init__(self) -> None:
        self.received = b""
        self.ends: list[Exception | None] = []

    def connection_made(self, transport: PlainTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


@contextmanager
def watching() -> Iterator[tuple[Transports, list[tuple[str, int]]]]:
    """A worker's transports, and the local addresses of those that have ended."""
    names: list[tuple[str, int]] = []
    transports = Transports(asyncio.get_running_loop(), socket.AF_INET, names.append)
    try:
        yield transports, names
    finally:
        transports.close()


def reset(sock: socket.socket) -> None:
    """Closes a socket with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_bytes_go_both_ways():
    with watching() as (transports, _):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            listener.transport.write(b"over")
            assert await asyncio.get_running_loop().sock_recv(far, 10) == b"over"
            far.send(b"and out")
            await until(lambda: listener.received == b"and out")


async def test_bytes_that_the_kernel_has_no_room_for_are_sent_in_order_later():
    with watching() as (transports, _):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            said = bytes(range(256)) * 64 * 1024  # 16 MiB: more than both socket buffers hold
            listener.transport.write(said)
            listener.transport.write(b"last")
            recorded = bytearray()
            while len(recorded) < len(said) + 4:
                recorded += await asyncio.wait_for(
                    asyncio.get_running_loop().sock_recv(far, 1 << 20), 5
                )
            assert recorded == said + b"last"
            far.send(b"still here")
            await until(lambda: listener.received == b"still here")


async def test_a_close_of_the_far_end_is_an_end_without_an_error():
    with watching() as (transports, names):
        near, far = tcp_pair()
        name = near.getsockname()
        transports.open(near, listener := Listener())
        far.close()
        await until(lambda: listener.ends)
        assert listener.ends == [None]
        assert names == [name]


async def test_a_reset_is_an_end_with_its_error():
    with watching() as (transports, _):
        near, far = tcp_pair()
        transports.open(near, listener := Listener())
        reset(far)
        await until(lambda: listener.ends)
        assert [type(error) for error in listener.ends] == [ConnectionResetError]


async def test_a_write_after_a_reset_is_the_end_of_the_transport():
    with watching() as (transports, _):
        near, far = tcp_pair()
        transports.open(near, listener := Listener())
        reset(far)
        listener.transport.write(b"anybody?")
        listener.transport.write(b"hello?")
        await until(lambda: listener.ends)
        assert len(listener.ends) == 1


async def test_an_abort_is_reported_in_the_next_turn_and_once():
    with watching() as (transports, names):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            listener.transport.abort()
            listener.transport.abort()
            assert listener.ends == []
            await until(lambda: listener.ends)
            await asyncio.sleep(0)
            assert listener.ends == [None]
            assert len(names) == 1
            listener.transport.write(b"too late")
            assert await asyncio.get_running_loop().sock_recv(far, 10) == b""


async def test_an_event_for_the_former_owner_of_a_descriptor_does_no_harm():
    """Two transports are readable in one batch; the first ends the second.

    The descriptor of the second is used again.
    """
    with watching() as (transports, _):
        near, far = tcp_pair()
        near_too, far_too = tcp_pair()
        newcomer = Listener()

        class Jealous(Listener):
            def data_received(self, data: bytes) -> None:
                other = victims[self]
                if not hasattr(other, "far"):
                    other.transport.abort()
                    fresh, self.far = tcp_pair()
                    transports.open(fresh, newcomer)

        one = Jealous()
        two = Jealous()
        victims = {one: two, two: one}
        with far, far_too:
            transports.open(near, one)
            transports.open(near_too, two)
            far.send(b"x")
            far_too.send(b"x")
            await until(lambda: one.ends or two.ends)
            survivor = two if one.ends else one
            with survivor.far:
                survivor.far.send(b"welcome")
                await until(lambda: newcomer.received == b"welcome")
            await until(lambda: newcomer.ends)
            assert newcomer.ends == [None]
