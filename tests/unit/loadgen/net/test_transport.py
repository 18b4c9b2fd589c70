"""Plain streams on real TCP pairs: bytes in order, ends told once, a slow reader, a descriptor
used again."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from loadgen.net.transport import PlainTransport, Transports
from tests.unit.wire_ends import tcp_pair, until


class Listener:
    """A protocol that keeps what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.ends: list[Exception | None] = []

    def connection_made(self, transport: PlainTransport) -> None:
        self.stream = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


@contextmanager
def watching() -> Iterator[tuple[Transports, list[tuple[str, int]]]]:
    """A worker's streams, and the local names of those that have ended."""
    names: list[tuple[str, int]] = []
    streams = Transports(asyncio.get_running_loop(), socket.AF_INET, names.append)
    try:
        yield streams, names
    finally:
        streams.close()


def reset(sock: socket.socket) -> None:
    """Closes a socket with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_bytes_go_both_ways():
    with watching() as (streams, _):
        near, far = tcp_pair()
        with far:
            streams.open(near, listener := Listener())
            listener.stream.write(b"over")
            assert await asyncio.get_running_loop().sock_recv(far, 10) == b"over"
            far.send(b"and out")
            await until(lambda: listener.received == b"and out")


async def test_what_the_kernel_has_no_room_for_is_sent_in_order_when_there_is():
    with watching() as (streams, _):
        near, far = tcp_pair()
        with far:
            streams.open(near, listener := Listener())
            said = bytes(range(256)) * 64 * 1024  # 16 MiB: more than both socket buffers hold
            listener.stream.write(said)
            listener.stream.write(b"last")
            recorded = bytearray()
            while len(recorded) < len(said) + 4:
                recorded += await asyncio.wait_for(
                    asyncio.get_running_loop().sock_recv(far, 1 << 20), 5
                )
            assert recorded == said + b"last"
            far.send(b"still here")
            await until(lambda: listener.received == b"still here")


async def test_the_far_end_hanging_up_is_an_end_without_an_error():
    with watching() as (streams, names):
        near, far = tcp_pair()
        name = near.getsockname()
        streams.open(near, listener := Listener())
        far.close()
        await until(lambda: listener.ends)
        assert listener.ends == [None]
        assert names == [name]


async def test_a_reset_is_an_end_with_its_error():
    with watching() as (streams, _):
        near, far = tcp_pair()
        streams.open(near, listener := Listener())
        reset(far)
        await until(lambda: listener.ends)
        assert [type(error) for error in listener.ends] == [ConnectionResetError]


async def test_a_write_to_who_is_gone_is_the_end_of_the_stream():
    with watching() as (streams, _):
        near, far = tcp_pair()
        streams.open(near, listener := Listener())
        reset(far)
        listener.stream.write(b"anybody?")
        listener.stream.write(b"hello?")
        await until(lambda: listener.ends)
        assert len(listener.ends) == 1


async def test_an_abort_is_told_in_the_next_turn_and_once():
    with watching() as (streams, names):
        near, far = tcp_pair()
        with far:
            streams.open(near, listener := Listener())
            listener.stream.abort()
            listener.stream.abort()
            assert listener.ends == []
            await until(lambda: listener.ends)
            await asyncio.sleep(0)
            assert listener.ends == [None]
            assert len(names) == 1
            listener.stream.write(b"nobody hears this")
            assert await asyncio.get_running_loop().sock_recv(far, 10) == b""


async def test_an_event_meant_for_the_former_owner_of_a_descriptor_does_no_harm():
    """Two streams have something to say in one batch; the first ends the second, whose
    descriptor is used again."""
    with watching() as (streams, _):
        (near, far), (near_too, far_too) = tcp_pair(), tcp_pair()
        newcomer = Listener()

        class Jealous(Listener):
            def data_received(self, data: bytes) -> None:
                other = victims[self]
                if not hasattr(other, "far"):
                    other.stream.abort()
                    fresh, self.far = tcp_pair()
                    streams.open(fresh, newcomer)

        one, two = Jealous(), Jealous()
        victims = {one: two, two: one}
        with far, far_too:
            streams.open(near, one)
            streams.open(near_too, two)
            far.send(b"x")
            far_too.send(b"x")
            await until(lambda: one.ends or two.ends)
            survivor = two if one.ends else one
            with survivor.far:
                survivor.far.send(b"welcome")
                await until(lambda: newcomer.received == b"welcome")
            await until(lambda: newcomer.ends)
            assert newcomer.ends == [None]
