"""Subscribed connections on a real socket pair, from the 101 to the close."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from time import monotonic

import pytest
from websockets.frames import Opcode

from loadgen.net.transport import Transports
from loadgen.sessions.receiver import ReceiverConnection, ReceiverWebSocket, Subscription
from loadgen.stats.deliveries import Deliveries
from loadgen.stats.delivery import News, Published
from loadgen.stats.recorder import Recorder
from loadgen.stats.tally import Tally
from loadgen.worker.stamps import find_stamp
from tests.unit.wire_ends import TERMS, Diary, FarSide, tcp_pair, until

GRACE = 60.0


class Holder(Diary):
    """An owner whose session awaits nothing."""

    def wait_for(self, what, seconds):
        """Not called."""

    def happened(self, what, value):
        """Not called."""


def made(kind, recorder):
    owner = Holder()
    if kind is ReceiverWebSocket:
        return kind(recorder, TERMS, owner, monotonic()), owner
    return kind(recorder, TERMS, owner), owner


@asynccontextmanager
async def subscribed(kind) -> AsyncIterator[tuple[Subscription, FarSide, Recorder]]:
    recorder = Recorder(seed=1)
    recorder.deliveries = Deliveries(find_stamp, lambda resource: (), grace=GRACE, clock="here")
    near, far = tcp_pair()
    connection, owner = made(kind, recorder)
    assert connection.opened_at == inf
    transports = Transports(asyncio.get_running_loop(), near.family, lambda name: None, recorder)
    transports.open(near, connection)
    side = FarSide(far)
    try:
        await side.upgrade()
        await until(lambda: owner.entries == ["opened"])
        yield connection, side, recorder
    finally:
        connection.connection_lost(None)  # so that neither its transport nor TERMS keeps it
        transports.close()
        far.close()


def published(number=0):
    return Published("here-run.0", number, int(monotonic() * 1_000_000))


def report(recorder, connection):
    tally = recorder.swap()
    news = recorder.deliveries.report(tally, [connection], monotonic(), final=True)
    return news or News(), tally


both = pytest.mark.parametrize("kind", [ReceiverConnection, ReceiverWebSocket])


@both
@pytest.mark.parametrize("padding", [0, 200, 5_000, 60_000])
async def test_a_stamped_message_is_a_delivery_and_a_message(kind, padding):
    async with subscribed(kind) as (connection, far, recorder):
        one = published()
        recorder.deliveries.announce(one, monotonic())
        payload = b'{"type":"event","pad":"' + b"x" * padding + one.stamp.text.encode() + b'"}'
        await far.send_frame(Opcode.TEXT, payload)
        await until(lambda: recorder.tally.messages_received == 1)

        news, tally = report(recorder, connection)

        delivered = news.delivered[one.key]
        assert (delivered.expected, delivered.received) == (1, 1)
        assert tally.delivery.total == 1


@both
async def test_other_messages_mean_what_they_mean_on_any_connection(kind):
    async with subscribed(kind) as (_, far, recorder):
        await far.send_frame(Opcode.TEXT, b'{"type":"connected","data":{"channels":[]}}')
        await far.send_frame(Opcode.BINARY, b"plain")
        await until(lambda: recorder.tally.messages_received == 2)

        assert recorder.tally.accepted == 1


async def test_a_session_receives_the_message_too():
    async with subscribed(ReceiverWebSocket) as (connection, far, recorder):
        text = published().stamp.text
        await far.send_frame(Opcode.TEXT, text.encode())
        await until(lambda: recorder.tally.messages_received == 1)

        assert list(connection.inbox) == [text]


@both
async def test_a_connection_that_closes_is_no_subscriber_any_more(kind):
    async with subscribed(kind) as (connection, far, recorder):
        connection.begin_close("done")
        assert connection.opened_at == inf
        one = published()
        recorder.deliveries.announce(one, monotonic())
        await far.send_frame(Opcode.TEXT, one.stamp.text.encode())
        await until(lambda: recorder.tally.messages_received == 1)

        news, _ = report(recorder, connection)

        assert news.delivered[one.key].expected == 0


@both
async def test_a_connection_that_the_server_ends_is_no_subscriber_any_more(kind):
    async with subscribed(kind) as (connection, far, _):
        far.sock.close()
        await until(lambda: connection.opened_at == inf)


@both
async def test_a_connection_that_never_opened_never_subscribed(kind):
    recorder = Recorder(seed=1)
    recorder.deliveries = Deliveries(find_stamp, lambda resource: (), grace=GRACE)
    connection, owner = made(kind, recorder)
    connection.begin_close("done")
    connection.end("refused")

    assert owner.entries == ["refused"]
    assert report(recorder, connection) == (News(), Tally())
