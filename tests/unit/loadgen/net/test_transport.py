"""Plain transports on real TCP pairs: order, ends and reused descriptors."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadgen.net.transport import HIGH_WATER, LOW_WATER, ByteTransport, Transports, Unsent
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from tests.unit.wire_ends import tcp_pair, until


class Listener:
    """A protocol that keeps its bytes and its ends."""

    def __init__(self) -> None:
        self.received = b""
        self.ends: list[Exception | None] = []
        self.rooms = 0

    def connection_made(self, transport: ByteTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def resume_writing(self) -> None:
        self.rooms += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends.append(exc)


@contextmanager
def watching() -> Iterator[tuple[Transports, list[tuple[str, int]]]]:
    """A worker's transports, and the local addresses of those that have ended."""
    names: list[tuple[str, int]] = []
    loop = asyncio.get_running_loop()
    transports = Transports(loop, socket.AF_INET, names.append, Recorder(seed=1))
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


def counted(tally: Tally) -> tuple[int, int, int]:
    """Returns the bytes and messages that were sent, and the unsent messages."""
    return tally.bytes_sent, tally.messages_sent, tally.messages_unsent


async def test_what_the_kernel_takes_at_once_counts_at_once():
    with watching() as (transports, _):
        tally = transports.recorder.tally
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            listener.transport.write(b"no message")
            listener.transport.write(b"a message", message=True)
            assert counted(tally) == (19, 1, 0)


async def test_what_is_queued_counts_when_the_kernel_takes_it():
    """Three messages of 4 MiB wait for a server that reads nothing at first."""
    with watching() as (transports, _):
        tally = transports.recorder.tally
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            for _ in range(3):
                listener.transport.write(bytes(1 << 22), message=True)
            listener.transport.write(b"no message")
            taken = tally.bytes_sent
            assert 0 < taken < 3 << 22
            assert tally.messages_sent == taken >> 22
            assert tally.messages_unsent == 0

            size = (3 << 22) + 10
            read = 0
            while read < size:
                read += len(await asyncio.get_running_loop().sock_recv(far, 1 << 20))
                assert read <= tally.bytes_sent
                assert tally.messages_sent == tally.bytes_sent >> 22
            assert counted(tally) == (size, 3, 0)


@pytest.mark.parametrize("end", ["abort", "reset"])
async def test_messages_that_the_kernel_never_took_whole_are_unsent(end):
    with watching() as (transports, _):
        tally = transports.recorder.tally
        near, far = tcp_pair()
        transports.open(near, listener := Listener())
        listener.transport.write(b"taken", message=True)
        for _ in range(3):
            listener.transport.write(bytes(1 << 24), message=True)
        listener.transport.write(b"no message")
        taken = tally.bytes_sent
        if end == "abort":
            listener.transport.abort()
        else:
            reset(far)
            await until(lambda: listener.ends)
        assert counted(tally) == (taken, 1, 3)
        listener.transport.write(b"too late", message=True)
        assert counted(tally) == (taken, 1, 4)
        far.close()


async def test_a_message_to_a_server_that_is_gone_is_unsent():
    with watching() as (transports, _):
        near, far = tcp_pair()
        transports.open(near, listener := Listener())
        reset(far)
        listener.transport.write(b"anybody?", message=True)
        assert counted(transports.recorder.tally) == (0, 0, 1)


def test_unsent_bytes_count_a_message_with_its_last_byte():
    tally = Tally()
    unsent = Unsent()
    unsent.add(bytes(10), message=True)
    unsent.add(bytes(5), message=False)
    unsent.add(bytes(10), message=True)
    unsent.add(bytes(10), message=True)
    assert unsent.size == 35

    found = []
    for size in (9, 1, 5, 9, 1):
        unsent.take(size, tally)
        found.append(counted(tally)[:2])
    assert found == [(9, 0), (10, 1), (15, 1), (24, 1), (25, 2)]
    unsent.drop(tally)
    unsent.drop(tally)
    assert counted(tally) == (25, 2, 1)


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


async def test_a_write_tells_when_too_much_waits_and_the_protocol_when_there_is_room_again():
    with watching() as (transports, _):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            write = listener.transport.write
            assert write(b"x") is False
            assert listener.transport.waiting == 0
            while not write(bytes(LOW_WATER)):  # the kernel takes some, and then none
                assert listener.transport.waiting <= HIGH_WATER
            assert listener.transport.waiting > HIGH_WATER
            await asyncio.sleep(0.02)
            assert listener.rooms == 0
            while not listener.rooms:
                await asyncio.get_running_loop().sock_recv(far, 1 << 20)
            assert listener.transport.waiting <= LOW_WATER


async def test_what_was_left_at_the_end_is_known_after_it():
    with watching() as (transports, _):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            listener.transport.write(bytes(1 << 24))
            left = listener.transport.waiting
            listener.transport.abort()
            assert listener.transport.write(bytes(1 << 24), message=True) is False
            assert listener.transport.waiting == left > 0
            assert transports.recorder.tally.messages_unsent == 1


async def test_two_pauses_need_two_ends():
    with watching() as (transports, _):
        near, far = tcp_pair()
        with far:
            transports.open(near, listener := Listener())
            for _ in range(2):
                listener.transport.pause_reading()
            far.send(b"late")
            listener.transport.resume_reading()
            await asyncio.sleep(0.02)
            assert listener.received == b""
            listener.transport.resume_reading()
            await until(lambda: listener.received == b"late")
            listener.transport.resume_reading()  # harmless
            far.send(b", later")
            await until(lambda: listener.received == b"late, later")


async def test_an_error_of_a_protocol_ends_its_transport_alone():
    class Broken(Listener):
        def data_received(self, data: bytes) -> None:
            raise KeyError("a bug")

    with watching() as (transports, _):
        pairs = tcp_pair(), tcp_pair()
        broken, sound = Broken(), Listener()
        for (near, far), listener in zip(pairs, (broken, sound), strict=True):
            transports.open(near, listener)
            far.send(b"x")
        await until(lambda: bool(broken.ends and sound.received))
        assert [type(error) for error in broken.ends] == [KeyError]
        assert sound.ends == []
        for _, far in pairs:
            far.close()


async def test_transports_of_one_set_count_with_the_recorders_of_their_slices():
    with watching() as (transports, names):
        other = Recorder(seed=2)
        assert transports.of(transports.recorder) is transports
        assert transports.of(other) is transports.of(other)
        near, far = tcp_pair()
        near_too, far_too = tcp_pair()
        with far, far_too:
            transports.open(near, one := Listener())
            transports.of(other).open(near_too, two := Listener())
            one.transport.write(b"one", message=True)
            two.transport.write(b"other", message=True)
            assert await asyncio.get_running_loop().sock_recv(far_too, 10) == b"other"
            far_too.send(b"back")
            await until(lambda: two.received == b"back")
            two.transport.abort()
            await until(lambda: len(names) == 1)
        own = transports.recorder.tally
        assert (own.bytes_sent, own.messages_sent) == (3, 1)
        assert (other.tally.bytes_sent, other.tally.messages_sent) == (5, 1)
